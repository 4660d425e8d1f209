"""Checks of the destinations."""

from collections.abc import Iterator
from functools import partial

from service.checks.check import Check, Grade, Outcome
from service.config import Settings
from service.destination_sections import Destination
from service.destinations import destination


def destination_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each destination; without any, one that says so."""
    calling = settings.receiver.ae_title
    for each in settings.destinations:
        yield Check(f"destination {each.name}", partial(_probe, each, calling))
    if not settings.destinations:
        yield Check("destinations", _none)


def _probe(each: Destination, calling: str) -> Outcome:
    destination(each, calling).probe()
    return Outcome("answers")


def _none() -> Outcome:
    return Outcome("none configured: drafts would stay here", Grade.FAULT)
