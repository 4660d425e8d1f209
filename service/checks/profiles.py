"""Checks that the profiles of models can be read; no model is loaded."""

from collections.abc import Iterator
from functools import partial

from service.checks.check import Check, Grade, Outcome
from service.settings.config import Settings
from service.settings.profile_faults import profile_fault, profiles


def profile_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each profile that the settings name."""
    for key, name in profiles(settings).items():
        yield Check(f"profile {name}", partial(_profile, key, name))


def _profile(key: str, name: str) -> Outcome:
    fault = profile_fault(key, name)
    return Outcome(fault, Grade.FAULT) if fault else Outcome("valid")
