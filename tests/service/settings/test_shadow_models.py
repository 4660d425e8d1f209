"""A shadow model has a worker and no results: calling AEs cannot name it."""

import pytest

from service.all_in_one import parts
from service.errors import ConfigurationError
from service.queue.names import reading_queues, shadow_role
from service.settings.config import load_settings

SHADOW = {"name": "trial", "model": "demo", "shadow": True}


def test_a_shadow_model_is_configured_and_its_readings_are_not_sent():
    """It has a table, a worker and a role; it is not among the models that read for results."""
    settings = load_settings(models=[SHADOW, {"name": "second"}])
    assert list(settings.readings()) == ["demo", "second"]
    assert list(settings.shadows()) == ["trial"]
    assert settings.for_model("trial").model_name == "trial"
    assert "trial" not in reading_queues(settings)
    assert shadow_role("trial") == "shadow.trial"
    assert "worker-trial" in {part.name for part in parts(settings, {})}


def test_a_calling_ae_cannot_name_a_shadow_model():
    """The message states the reason, not that there is no such model."""
    receiver = {"callers": [{"ae_title": "CR1", "model": "trial"}]}
    with pytest.raises(ConfigurationError, match="trial is a shadow model, whose drafts are never"):
        load_settings(models=[SHADOW], receiver=receiver)
