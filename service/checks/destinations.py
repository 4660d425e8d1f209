"""Checks of the destinations: does each answer, and may results be written there?"""

from collections.abc import Iterator
from functools import partial

from service.checks.check import Check, Grade, Outcome
from service.config import Settings
from service.destination_sections import Destination
from service.destinations import destination


def destination_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each destination; without any, one that says so."""
    for each in settings.destinations:
        yield destination_check(settings, each)
    if not settings.destinations:
        yield Check("destinations", _none)


def destination_check(settings: Settings, each: Destination) -> Check:
    """Return the check of one destination."""
    return Check(f"destination {each.name}", partial(_probe, settings, each))


def _probe(settings: Settings, each: Destination) -> Outcome:
    destination(each, settings.receiver.ae_title).probe()
    return Outcome("answers")


def _none() -> Outcome:
    return Outcome("none configured: drafts would stay here", Grade.FAULT)
