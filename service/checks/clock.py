"""Checks the time zone in which times are shown."""

from datetime import datetime

from service.checks.check import Grade, Outcome
from service.settings.config import zone_variables
from service.system.time_zone import zone_fault


def time_zone() -> Outcome:
    """Return the time zone in force; a warning if TZ names one that does not exist."""
    if fault := zone_fault(*zone_variables()):
        return Outcome(fault, Grade.WARNING)
    now = datetime.now().astimezone()
    return Outcome(f"{now.tzname()} (UTC{now:%z})")
