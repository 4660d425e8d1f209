"""The names of models that can be loaded."""

from service.settings.model_names import model_names


def test_the_models_of_the_workers_are_known_without_torch():
    """By the entry point of their commands."""
    names = model_names()
    assert "demo" in names
    assert list(names) == sorted(set(names))
