import pytest

from dicom.selection.image_selection import Rules
from service.settings.config import load_settings
from workers.reading.image_selection import rules_for


@pytest.mark.parametrize(
    ("caller", "rules"),
    [
        ({}, Rules(minimum_age_years=16, read_children=True)),
        ({"read_children": False}, Rules(minimum_age_years=16, read_children=False)),
        ({"minimum_age_years": 0}, Rules(minimum_age_years=0, read_children=True)),
        (
            {"stated_only": True},
            Rules(minimum_age_years=16, read_children=True, stated_only=True),
        ),
    ],
)
def test_what_a_caller_states_overrides_what_the_model_reads(caller, rules):
    """Nothing said, nothing changed; 0 and off are something said."""
    settings = load_settings(
        reading={"minimum_age_years": 16, "read_children": True},
        receiver={"callers": [{"ae_title": "CR1"} | caller]},
    )
    assert rules_for(settings, settings.caller("CR1")) == rules
    assert rules_for(settings, None) == Rules(minimum_age_years=16, read_children=True)
