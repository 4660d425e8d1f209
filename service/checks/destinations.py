"""Checks that each destination answers and allows us to store results."""

from collections.abc import Iterator
from functools import partial

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from dicom.content.output_kind import OutputKind
from dicom.content.result_header import SECONDARY_CAPTURE, SOP_CLASSES
from service.checks.check import Check, Grade, Outcome
from service.settings.config import Settings
from service.settings.destination_factory import destination
from service.settings.keys.destinations import ALL_OBJECTS, Destination, includes_kind
from service.settings.keys.sections import Outputs


def destination_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each destination; if there is none, one check that fails."""
    for each in settings.destinations:
        yield destination_check(settings, each)
    if not settings.destinations:
        yield Check("destinations", _none)


def destination_check(settings: Settings, each: Destination) -> Check:
    """Return the check of one destination."""
    return Check(f"destination {each.name}", partial(_probe, settings, each))


def _probe(settings: Settings, each: Destination) -> Outcome:
    found = destination(each, settings.receiver.ae_title)
    found.probe()
    if found.probe_writing(_contexts(settings.outputs, each)):
        return Outcome("answers and accepts storage")
    return Outcome("answers; whether it accepts storage could not be checked", Grade.WARNING)


def _contexts(outputs: Outputs, each: Destination) -> list[tuple[UID, UID]]:
    """Return the (SOP Class UID, Transfer Syntax UID) pairs of the results that it will receive."""
    kinds = [
        kind for kind in _kinds(outputs, each) if includes_kind(each.objects or ALL_OBJECTS, kind)
    ]
    pairs = []
    for sop_class in dict.fromkeys(SOP_CLASSES[kind] for kind in kinds):
        compressed = sop_class == SECONDARY_CAPTURE and outputs.compression == "jpeg-ls"
        syntaxes = (
            [JPEGLSLossless] if compressed else [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        )
        pairs += [(UID(sop_class), syntax) for syntax in syntaxes]
    return pairs


def _kinds(outputs: Outputs, each: Destination) -> Iterator[OutputKind]:
    yield OutputKind.DRAFT_REPORT
    yield OutputKind.FINDINGS_3D if outputs.comprehensive_3d else OutputKind.FINDINGS
    yield OutputKind.OVERLAY
    yield OutputKind.REPORT_PAGE
    yield from map(OutputKind, outputs.extras)
    if each.not_analysed:
        yield OutputKind.NOT_ANALYSED
        if outputs.not_analysed_page:
            yield OutputKind.NOT_ANALYSED_PAGE


def _none() -> Outcome:
    return Outcome("none is configured: drafts stay in the outbox", Grade.FAULT)
