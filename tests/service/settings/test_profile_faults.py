"""Profiles that the settings name are examined by the workers' own code."""

from service.settings.config import load_settings
from service.settings.profile_faults import profile_fault, profile_faults, profiles


def test_a_profile_that_is_not_there_is_a_fault(tmp_path):
    """With the setting that names it."""
    fault = profile_fault("reading.profile", str(tmp_path / "none.toml"))
    assert fault.startswith("reading.profile = ")
    assert "none.toml" in fault


def test_settings_without_a_profile_have_no_fault(tmp_path):
    """As for a built-in model."""
    settings = load_settings(data_dir=tmp_path)
    assert profiles(settings) == {}
    assert list(profile_faults(settings)) == []
