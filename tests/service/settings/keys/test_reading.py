"""The keys of a model that is not built in, and the faults that are named."""

import pytest

from service.errors import ConfigurationError
from service.settings.advice import without_effect
from service.settings.config import Settings, load_settings

OWN = {"kind": "transformers", "model": "chest", "model_dir": "/m", "profile": "generic"}


def test_a_model_of_ones_own_has_a_name_of_its_own():
    """Kind, folder and profile are enough; the name is the site's."""
    settings = load_settings(reading=OWN)
    assert settings.model_name == "chest"
    assert list(settings.readings()) == ["chest"]


def test_a_further_model_of_ones_own_needs_no_model_key():
    """In `[[models]]` the name is enough."""
    further = {key: value for key, value in OWN.items() if key != "model"} | {"name": "trial"}
    assert list(load_settings(models=[further]).readings()) == ["demo", "trial"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "transformer"}, "kind = 'transformer': not allowed; allowed are: built-in"),
        ({"model": "demo"}, "model: 'demo' names a built-in model"),
        ({"model": None}, "model: 'demo' names a built-in model"),
        ({"model": "My Model"}, "allowed are 1 to 32 lower-case letters"),
        ({"model_dir": None}, "model_dir: is needed for kind = 'transformers'"),
        ({"profile": None}, "profile: is needed for kind = 'transformers'"),
        ({"quantisation": "int8"}, "quantisation: is for kind = 'built-in' only"),
        ({"compile": True}, "compile: is for kind = 'built-in' only"),
        ({"base_model_dir": "/b"}, "base_model_dir: is for model = 'llava-rad' only"),
        ({"adapter_sha256": "0" * 64}, "adapter_sha256: has no effect without adapter_dir"),
        ({"kind": "built-in", "model": "demo"}, "profile: is for other kinds than 'built-in'"),
        (
            {"kind": "built-in", "model": "demo", "profile": None, "adapter_dir": "/a"},
            "adapter_dir: is for kind = 'transformers' only",
        ),
    ],
)
def test_a_fault_is_named_with_its_key(change, message):
    """The message begins with the key and states what to do."""
    reading = {key: value for key, value in (OWN | change).items() if value is not None}
    with pytest.raises(ConfigurationError) as raised:
        load_settings(reading=reading)
    assert message in str(raised.value)


def test_regions_of_a_model_that_shows_none_are_a_warning():
    """`where = "on"` has no effect, and `wetread check` states it."""
    settings = Settings.model_validate({"reading": OWN | {"where": "on"}})
    assert any("shows no regions" in sentence for sentence in without_effect(settings))
