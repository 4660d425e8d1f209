"""Checks whether the time zone that the environment names exists. Pure, but for the zone files."""

import re
import zoneinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Final

# A zone given by its offset, as "CET-1CEST" or "<+03>-3", needs no zone file (POSIX TZ).
_POSIX_ZONE: Final = re.compile(r"([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?\d")


def zone_fault(given: str, folder: str = "") -> str:
    """Return why a time zone is not in force, or "".

    The C library silently uses UTC if it has no file for a zone.

    Args:
        given: The variable TZ; "" for the system's zone.
        folder: The variable TZDIR, the folder of zone files; "" for the system's folders.
    """
    name = given.removeprefix(":")
    if not name or _POSIX_ZONE.match(name):
        return ""
    folders = [Path(each) for each in ([folder] if folder else zoneinfo.TZPATH)]
    if any(_is_zone(each / name) for each in folders):
        return ""
    return (
        f"the time zone {given[:60]!a} (TZ) does not exist: times are shown in UTC; "
        f"{_advice(name, folders)}"
    )


def _advice(name: str, folders: list[Path]) -> str:
    if not any(each.is_dir() for each in folders):
        return "install the time zones of the system (tzdata)"
    near = get_close_matches(name, zoneinfo.available_timezones(), n=1)
    return f"did you mean {near[0]}?" if near else "use a name such as Europe/Berlin"


def _is_zone(path: Path) -> bool:
    """Return whether a file is a time zone file (TZif, RFC 9636 3.1)."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"TZif"
    except (OSError, ValueError):
        return False
