"""The change log of a period: versions, models, settings, stops, recalls; when and by whom."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.audit import AuditAction, AuditOutcome
from service.quality.document import Document, DocumentKind, Section, Table, not_recorded
from service.quality.inputs import Inputs
from service.quality.log_records import audit_of
from service.quality.period import moment
from service.throughput.changes import ChangeKind

_NO_PERSON: Final = not_recorded("person who made the change")


class Changed(StrEnum):
    """What a line of the log is about."""

    VERSION = "version of Wetread"
    MODEL = "model loaded"
    SETTINGS = "settings"
    CHOICE = "model for new studies"
    STOPPED = "drafting stopped"
    STARTED = "drafting started"
    RECALL = "drafts withdrawn"
    REFERENCE = "reference period accepted"
    PAUSED = "destination paused"
    RESUMED = "destination resumed"
    ROLES = "roles changed"


_OF_KIND: Final = {ChangeKind.VERSION.value: Changed.VERSION, ChangeKind.MODEL.value: Changed.MODEL}
# Recorded in the audit trail only; whether its detail is made by the program.
_AUDITED: Final = {
    AuditAction.CHANGED_SETTINGS: (Changed.SETTINGS, True),
    AuditAction.PAUSED: (Changed.PAUSED, False),
    AuditAction.RESUMED: (Changed.RESUMED, True),
    AuditAction.CHANGED_ROLES: (Changed.ROLES, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the log; `actor` is "" where it is not recorded."""

    at: datetime
    changed: Changed
    detail: str
    actor: str = ""


def change_log(inputs: Inputs) -> Document:
    """Return the change log.

    Raises:
        StoreError: The database cannot be used.
    """
    lines = sorted(_lines(inputs), key=lambda each: (each.at, each.changed, each.detail))
    rows = tuple(
        (moment(each.at), each.changed.value, each.detail or "–", each.actor or _NO_PERSON)
        for each in lines
    )
    return Document(
        kind=DocumentKind.CHANGE_LOG,
        name=DocumentKind.CHANGE_LOG.value,
        title="Change log",
        facts=(("Period", inputs.period.words),),
        sections=(
            _in_force(inputs),
            Section(
                title="Changes",
                sentences=(
                    (
                        "Settings are shown by a digest over all of them without secrets; the "
                        "document Configuration has the digests of the sections in force now. A "
                        "version or a model is recorded when it first runs."
                    ),
                ),
                tables=(Table(("Time", "What", "Now, or detail", "By"), rows),),
            ),
        ),
        values=[
            {
                "at": each.at.isoformat(timespec="seconds"),
                "what": each.changed,
                "detail": each.detail or None,
                "by": each.actor or None,
            }
            for each in lines
        ],
    )


def _lines(inputs: Inputs) -> Iterator[Line]:
    begin, end = inputs.period.begin, inputs.period.end
    for change in inputs.store.recorded_changes(end):
        if change.at >= begin and change.kind in _OF_KIND:
            yield Line(at=change.at, changed=_OF_KIND[change.kind], detail=change.detail)
    for choice in inputs.store.model_choices(begin, end):
        yield Line(
            at=choice.at, changed=Changed.CHOICE, detail=choice.model, actor=choice.chosen_by
        )
    for reference in inputs.store.references_accepted(end):
        if reference.accepted_at >= begin:
            yield Line(
                at=reference.accepted_at,
                changed=Changed.REFERENCE,
                detail=f"{reference.first_day} to {reference.last_day}; models: "
                f"{', '.join(reference.models) or 'unknown'}",
                actor=reference.accepted_by,
            )
    yield from _stops(inputs)
    yield from _recalls(inputs)
    yield from _audited(inputs)


def _stops(inputs: Inputs) -> Iterator[Line]:
    begin, end = inputs.period.begin, inputs.period.end
    for stop in inputs.store.drafting_stops_of(begin, end):
        if stop.stopped_at >= begin:
            yield Line(
                at=stop.stopped_at,
                changed=Changed.STOPPED,
                detail=f"reason: {inputs.typed(stop.reason) or '–'}",
                actor=stop.stopped_by,
            )
        if stop.started_at is not None and stop.started_at < end:
            yield Line(
                at=stop.started_at,
                changed=Changed.STARTED,
                detail=f"stopped since {moment(stop.stopped_at)}",
                actor=stop.started_by,
            )


def _recalls(inputs: Inputs) -> Iterator[Line]:
    for each in inputs.store.recalled_drafts(inputs.period.begin, inputs.period.end):
        yield Line(
            at=each.first_at,
            changed=Changed.RECALL,
            detail=f"{each.drafts} of {each.model} {each.version}, until {moment(each.last_at)}; "
            f"reason: {inputs.typed(each.reason) or '–'}",
            actor=each.actor,
        )


def _audited(inputs: Inputs) -> Iterator[Line]:
    for record in audit_of(inputs.store, inputs.period):
        event = record.event
        if event.action in _AUDITED and event.outcome is AuditOutcome.SUCCESS:
            changed, is_machine_made = _AUDITED[event.action]
            detail = event.detail if is_machine_made else inputs.typed(event.detail)
            # Settings change in a file: the program that notices it is no person.
            actor = "" if changed is Changed.SETTINGS else event.actor
            yield Line(at=record.at, changed=changed, detail=detail, actor=actor)


def _in_force(inputs: Inputs) -> Section:
    """Return what was in force when the period began, and when it ended."""
    changes = inputs.store.recorded_changes(inputs.period.end)
    subjects = sorted({(each.kind, each.subject) for each in changes if each.kind in _OF_KIND})
    rows = []
    for kind, subject in subjects:
        own = [each for each in changes if (each.kind, each.subject) == (kind, subject)]
        before = [each.detail for each in own if each.at < inputs.period.begin]
        rows.append(
            (
                f"{_OF_KIND[kind].value} {subject}".strip(),
                before[-1] if before else "–",
                own[-1].detail,
            )
        )
    if not rows:
        missing = not_recorded(
            "versions of Wetread and of models (the sweeper and workers record them)"
        )
        return Section(title="In force", sentences=(missing,))
    table = Table(("What", "When the period began", "When it ended"), tuple(rows))
    return Section(title="In force", tables=(table,))
