"""Checks of the destinations."""

from collections.abc import Iterator
from functools import partial

from dicom.pacs import Destination
from service.checks.check import Check, Grade, Outcome
from service.config import Settings
from service.destinations import destinations


def destination_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each destination; without any, one that says so."""
    for name, destination in destinations(settings).items():
        yield Check(f"destination {name}", partial(_probe, destination))
    if not settings.destinations:
        yield Check("destinations", _none)


def _probe(destination: Destination) -> Outcome:
    destination.probe()
    return Outcome("answers")


def _none() -> Outcome:
    return Outcome("none configured: drafts would stay here", Grade.FAULT)
