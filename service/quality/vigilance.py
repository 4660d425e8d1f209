"""Drift alerts, incidents and their alerts, with acknowledgments; and what people did."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from service.audit import AuditAction, AuditOutcome, AuditRecord
from service.drift.alert import DriftAlert
from service.monitoring.alert_rules import rule_of, title_of
from service.monitoring.alert_text import without_uids
from service.quality.document import Section, Table, not_recorded
from service.quality.inputs import Inputs
from service.quality.log_records import audit_of
from service.quality.period import moment
from service.records.alerts import IncidentAlert
from service.store.probes import CHECKS_KEPT

_OPEN: Final = "open"
# What a person does about the service, its model or its drafts; viewing and login are in the log only.
_ACTIONS: Final = frozenset(
    {
        AuditAction.ACCEPTED_REFERENCE,
        AuditAction.ACKNOWLEDGED,
        AuditAction.BREAK_GLASS,
        AuditAction.CANCELED,
        AuditAction.CHANGED_ACCOUNT,
        AuditAction.CHANGED_ROLES,
        AuditAction.CHANGED_SETTINGS,
        AuditAction.CHANGED_TOKEN,
        AuditAction.CHOSE_MODEL,
        AuditAction.CLOSED_READER_STUDY,
        AuditAction.CREATED_READER_STUDY,
        AuditAction.IMPORTED,
        AuditAction.PAUSED,
        AuditAction.READ_AGAIN,
        AuditAction.RECALLED,
        AuditAction.REMOVED_UNDECIDED,
        AuditAction.REQUESTED_CHECK,
        AuditAction.RESUMED,
        AuditAction.RETRIED,
        AuditAction.SENT_AGAIN,
        AuditAction.STARTED_DRAFTING,
        AuditAction.STOPPED_DRAFTING,
        AuditAction.UNDID,
    }
)


def drift(inputs: Inputs) -> tuple[Section, list[dict[str, Any]]]:
    """Return the section on drift, and its alerts as values."""
    period = inputs.period
    alerts = inputs.store.drift_alerts_of(period.begin, period.end)
    references = inputs.store.references_accepted(period.end)
    if references:
        latest = references[-1]
        sentence = (
            f"Charts compare with {latest.first_day} to {latest.last_day}, accepted by "
            f"{latest.accepted_by} on {moment(latest.accepted_at)}. All charts together are "
            "designed for at most one false alarm a quarter. The absence of alerts does not show "
            "that nothing changed."
        )
    else:
        sentence = not_recorded(
            "a reference period that a person accepted: drift charts do not run"
        )
    section = Section(
        title="Drift",
        sentences=(sentence,),
        tables=(
            Table(
                ("Alert", "Level", "From, to", "What was found", "Acknowledged", "Note"),
                tuple(_drift_row(inputs, each) for each in alerts),
                "Drift alerts open in the period",
            ),
        ),
    )
    return section, [_drift_json(inputs, each) for each in alerts]


def _drift_row(inputs: Inputs, alert: DriftAlert) -> tuple[str, ...]:
    found = " ".join(filter(None, (alert.words, alert.subgroup, " ".join(alert.changes))))
    return (
        alert.title,
        alert.level.value,
        f"{moment(alert.first)} to {moment(alert.last)}, n = {alert.n}",
        without_uids(found),
        _by_at(alert.acknowledged_by, alert.acknowledged_at),
        inputs.typed(alert.note) or "–",
    )


def _by_at(actor: str, at: datetime | None) -> str:
    return _OPEN if at is None else f"{actor}, {moment(at)}"


def _drift_json(inputs: Inputs, alert: DriftAlert) -> dict[str, Any]:
    return {
        "title": alert.title,
        "level": alert.level,
        "first": moment(alert.first),
        "last": moment(alert.last),
        "n": alert.n,
        "opened_at": moment(alert.opened_at),
        "acknowledged_at": moment(alert.acknowledged_at) or None,
        "acknowledged_by": alert.acknowledged_by or None,
        "note": inputs.typed(alert.note) or None,
    }


def incidents(inputs: Inputs) -> tuple[Section, dict[str, Any]]:
    """Return the section on incidents and their alerts, and the same as values."""
    begin, end = inputs.period.begin, inputs.period.end
    counts = inputs.store.incident_counts(begin, end)
    alerts = inputs.store.incident_alerts_of(begin, end)
    checks = inputs.store.probe_outcomes(begin, end)
    section = Section(
        title="Incidents and alerts",
        sentences=(_checks(inputs, checks),),
        tables=(
            Table(
                ("Incident", "Number", "First", "Last"),
                tuple(
                    (
                        title_of(each.kind),
                        str(each.count),
                        moment(each.first_at),
                        moment(each.last_at),
                    )
                    for each in counts
                ),
                "Incidents by kind",
                numeric=frozenset({1}),
            ),
            Table(
                ("Alert", "About", "Level", "Opened", "Incidents", "Acknowledged", "Cause ended"),
                tuple(_alert_row(each) for each in alerts),
                "Alerts open in the period",
                numeric=frozenset({4}),
            ),
        ),
    )
    values = {
        "incidents": {each.kind: each.count for each in counts},
        "alerts": [_alert_json(each) for each in alerts],
        "end_to_end_checks": checks,
    }
    return section, values


def _checks(inputs: Inputs, checks: Mapping[str, int]) -> str:
    days = CHECKS_KEPT.days
    if not checks:
        return not_recorded(f"end-to-end checks in this period (kept for {days} days)")
    words = ", ".join(f"{n} {name}" for name, n in sorted(checks.items()))
    if inputs.period.begin >= inputs.store.now() - CHECKS_KEPT:
        return f"End-to-end checks: {words}."
    return (
        f"End-to-end checks whose records are still here: {words}. Records are kept for {days} days: "
        "this is no count of the whole period."
    )


def _alert_row(alert: IncidentAlert) -> tuple[str, ...]:
    return (
        title_of(alert.kind),
        without_uids(alert.subject) or "–",
        rule_of(alert.kind).level.word,
        moment(alert.opened_at),
        str(alert.count),
        _by_at(alert.acknowledged_by, alert.acknowledged_at),
        moment(alert.recovered_at) or "–",
    )


def _alert_json(alert: IncidentAlert) -> dict[str, Any]:
    return {
        "kind": alert.kind,
        "about": without_uids(alert.subject) or None,
        "opened_at": moment(alert.opened_at),
        "incidents": alert.count,
        "acknowledged_at": moment(alert.acknowledged_at) or None,
        "acknowledged_by": alert.acknowledged_by or None,
        "recovered_at": moment(alert.recovered_at) or None,
        "closed_at": moment(alert.closed_at) or None,
    }


@dataclass(slots=True)
class _Done:
    """How often one person did one thing, and when."""

    count: int
    first_at: datetime
    last_at: datetime


def actions(inputs: Inputs) -> tuple[Section, list[dict[str, Any]]]:
    """Return the section on what people did, from the audit trail, and the same as values."""
    found = _counted(audit_of(inputs.store, inputs.period))
    rows = sorted(found.items(), key=lambda each: (each[0][0], each[0][1]))
    section = Section(
        title="Actions",
        sentences=(
            (
                "From the audit trail, counted. The exported log has each record; logins, views, "
                "searches and exports are in the log only. Decisions on drafts stand under "
                "Acceptability."
            ),
        ),
        tables=(
            Table(
                ("Action", "By", "Number", "First", "Last"),
                tuple(
                    (action, actor, str(done.count), moment(done.first_at), moment(done.last_at))
                    for (action, actor), done in rows
                ),
                numeric=frozenset({2}),
            ),
        ),
    )
    return section, [
        {"action": action, "by": actor, "count": done.count} for (action, actor), done in rows
    ]


def _counted(records: Iterable[AuditRecord]) -> dict[tuple[str, str], _Done]:
    found: dict[tuple[str, str], _Done] = {}
    for record in records:
        event = record.event
        if event.action not in _ACTIONS or event.outcome is not AuditOutcome.SUCCESS:
            continue
        key = (event.action.value, event.actor)
        if key in found:
            found[key].count, found[key].last_at = found[key].count + 1, record.at
        else:
            found[key] = _Done(1, record.at, record.at)
    return found
