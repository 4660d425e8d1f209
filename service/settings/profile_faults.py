"""Judges the profiles that the settings name, by the packages that read them (`workers`).

The settings themselves do not: a machine that only receives needs neither profile nor model.
"""

from collections.abc import Iterator
from typing import Final

from service.settings.config import Settings
from service.settings.keys.reading import Model
from service.settings.model_names import registered_functions

# The attribute of an entry point's module that names a function: a profile's name or path -> its fault.
_FUNCTION: Final = "PROFILE_FAULT"


def profiles(settings: Settings) -> dict[str, str]:
    """Return key -> value of each setting that names a profile."""
    return {
        f'models "{each.name}", profile'
        if isinstance(each, Model)
        else "reading.profile": each.profile
        for each in settings.readings().values()
        if each.profile is not None
    }


def profile_fault(key: str, name: str) -> str:
    """Return what is wrong with a profile; "" if nothing is, or if `workers` is not installed.

    Args:
        key: The setting that names it, for the message.
        name: A shipped profile's name, or a path.
    """
    found = next((fault for judge in registered_functions(_FUNCTION) if (fault := judge(name))), "")
    return f"{key} = {name!r}: {found}" if found else ""


def profile_faults(settings: Settings) -> Iterator[str]:
    """Yield the fault of each profile that cannot be used."""
    faults = (profile_fault(key, name) for key, name in profiles(settings).items())
    yield from filter(None, faults)
