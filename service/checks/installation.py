"""Checks of the installation: versions of libraries, fonts, time zone."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Final

from dicom import pynetdicom_private
from dicom.drawing.fonts import has_shaping
from service.checks.check import Check, Grade, Outcome
from service.queue import celery_private, kombu_private
from service.settings.config import zone_variables
from service.settings.destination_factory import DESTINATION_LIBRARIES
from service.system import broker_connection, psycopg_private, uvicorn_private
from service.system.time_zone import zone_fault

LIBRARIES: Final = (
    *DESTINATION_LIBRARIES,
    broker_connection.LIBRARY,
    kombu_private.LIBRARY,
    celery_private.LIBRARY,
    psycopg_private.LIBRARY,
    uvicorn_private.LIBRARY,
)


def library_checks() -> Iterator[Check]:
    """Yield a check for each library of an untried version, and one for all others together.

    A pynetdicom without the parts that receiving needs is a fault.
    """
    untried = [library for library in LIBRARIES if not library.is_tested]
    if gap := pynetdicom_private.plain_path_gap():
        yield Check("receive path", partial(Outcome, gap, Grade.FAULT))
    for library in untried:
        yield Check(f"library {library.name}", partial(Outcome, library.warning, Grade.WARNING))
    tried = [
        f"{library.name} {library.installed}" for library in LIBRARIES if library not in untried
    ]
    if tried:
        yield Check("libraries", partial(Outcome, f"tested versions: {', '.join(tried)}"))


def fonts() -> Outcome:
    """Return the scripts in which names can be drawn: some need text shaping (Raqm with FriBiDi)."""
    if has_shaping():
        return Outcome("names in every script of the shipped fonts")
    return Outcome(
        "names in Arabic, Hebrew, Thai and Devanagari cannot be drawn: install FriBiDi "
        "(libfribidi0) for them"
    )


def time_zone() -> Outcome:
    """Return the time zone in force; a warning if TZ names one that does not exist."""
    if fault := zone_fault(*zone_variables()):
        return Outcome(fault, Grade.WARNING)
    now = datetime.now().astimezone()
    return Outcome(f"{now.tzname()} (UTC{now:%z})")
