"""Valid settings without effect, or of importance, are reported."""

import pytest

from service.settings.advice import advice, cautions, without_effect
from service.settings.config import Settings
from service.settings.keys.reading import Model, Reading


def settings(*models, **reading):
    """Return settings whose [reading] and [[models]] are these."""
    return Settings(reading=Reading(**reading), models=models)


REAL = {"model": "cxr-llava-v2", "model_dir": "/srv/models/v2"}


@pytest.mark.parametrize(
    "reading",
    [
        {},
        {"where": "on"},
        {"scores": "on", "where": "on", **REAL},
        {"scores": "off", "where": "off"},
        {"scores": "auto", "where": "auto", **REAL},
    ],
)
def test_settings_that_take_effect_need_no_advice(reading):
    """The demo model's scores have been measured; requested scores give locations."""
    assert advice(settings(**reading)) == ()


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        ({"scores": "off", "where": "on"}, 'scores = "off"'),
        ({"where": "on", **REAL}, 'set scores = "on"'),
        ({"model": "tiny", "scores": "on"}, "random weights"),
        ({"model_dir": "/srv/models/v2"}, "model_dir has no effect"),
    ],
)
def test_a_setting_without_effect_is_named(reading, expected):
    """The table, the key, the reason, and what to set instead."""
    (sentence,) = without_effect(settings(**reading))
    assert sentence.startswith("reading: ")
    assert expected in sentence


def test_a_further_model_is_named_by_its_name():
    """The table of a further model is identified by the model's name."""
    (sentence,) = without_effect(settings(Model(name="trial", where="on", scores="off")))
    assert sentence.startswith("models trial: ")


def test_a_demonstration_model_that_reads_patients_is_a_caution():
    """Every model with the setting is named in one sentence."""
    trial = Model(name="trial", model="tiny", demo_reads_patients=True)
    (sentence,) = cautions(settings(trial, demo_reads_patients=True))
    assert "demo, trial" in sentence
