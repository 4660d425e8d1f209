"""Queries over one period: models in use, changes, incidents, alerts, refusals, the audit trail."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from dicom.content.report import DraftReport, ModelIdentity
from dicom.errors import UnreadableDraft
from service.database.alert_tables import IncidentAlertRow
from service.database.audit_tables import AuditRow
from service.database.drift_tables import AlertRow, ReferenceRow
from service.database.final_report_tables import FinalReportRow
from service.database.model_tables import DraftingStopRow, ModelChoiceRow
from service.database.probe_tables import ProbeRow
from service.database.tables import EventRow, IncidentRow, JobRow
from service.database.throughput_tables import ChangeRow
from service.drift.alert import DriftAlert
from service.jobs import Event, JobState
from service.records.alerts import IncidentAlert
from service.records.models import ModelChoice
from service.records.quality import (
    AcceptedReference,
    IncidentCount,
    ModelUse,
    RecalledDrafts,
    RecordedChange,
    RecordedStop,
)
from service.store.alerts import alert_record
from service.store.drift.alerts import drift_alert
from service.store.probe_exclusion import not_a_probe
from service.store.session import Transactions

_UNBOUNDED: Final = 10_000  # rows of a list that people read


class QualityPeriods(Transactions):
    """The part of the store that the documents for the quality department are made of.

    Each method takes the begin of the period, included, and its end, not included.
    """

    def models_used(self, begin: datetime, end: datetime) -> list[ModelUse]:
        """Return the model versions that made drafts, by name and version."""
        names = (JobRow.model_name, JobRow.model_version)
        made = _drafts(begin, end)
        counts = select(
            *names,
            func.count().label("n"),
            func.min(JobRow.produced_at).label("first"),
            func.max(JobRow.produced_at).label("last"),
        ).where(*made)
        with self._reading() as session:
            return [
                ModelUse(
                    model=row.model_name,
                    version=row.model_version,
                    drafts=row.n,
                    first_at=row.first,
                    last_at=row.last,
                    identity=_identity(session, row.model_name, row.model_version, made),
                )
                for row in session.execute(counts.group_by(*names).order_by(*names))
            ]

    def not_analyzed(self, begin: datetime, end: datetime) -> dict[str, int]:
        """Return how many jobs made in the period were not analyzed, by the code of the reason."""
        return self._counted_codes(JobState.NOT_ANALYSED, begin, end)

    def failed(self, begin: datetime, end: datetime) -> dict[str, int]:
        """Return how many jobs made in the period have failed, by the code of the reason."""
        return self._counted_codes(JobState.FAILED, begin, end)

    def _counted_codes(self, state: JobState, begin: datetime, end: datetime) -> dict[str, int]:
        chosen = select(JobRow.reason_code, func.count()).where(
            JobRow.state == state.value,
            _within(JobRow.created_at, begin, end),
            not_a_probe(JobRow.study_instance_uid),
        )
        return self._counts(chosen.group_by(JobRow.reason_code))

    def final_report_states(self, begin: datetime, end: datetime) -> dict[str, int]:
        """Return how many final reports arrived, by their state now."""
        chosen = select(FinalReportRow.state, func.count()).where(
            _within(FinalReportRow.received_at, begin, end)
        )
        return self._counts(chosen.group_by(FinalReportRow.state))

    def probe_outcomes(self, begin: datetime, end: datetime) -> dict[str, int]:
        """Return how many end-to-end checks began, by outcome; they are kept for 30 days."""
        chosen = select(ProbeRow.outcome, func.count()).where(
            _within(ProbeRow.started_at, begin, end)
        )
        return self._counts(chosen.group_by(ProbeRow.outcome))

    def _counts(self, chosen: Select[Any, Any]) -> dict[str, int]:
        with self._reading() as session:
            return {str(row[0]): int(row[1]) for row in session.execute(chosen)}

    def incident_counts(self, begin: datetime, end: datetime) -> list[IncidentCount]:
        """Return the incidents by kind."""
        chosen = (
            select(
                IncidentRow.kind,
                func.count().label("n"),
                func.min(IncidentRow.at).label("first"),
                func.max(IncidentRow.at).label("last"),
            )
            .where(_within(IncidentRow.at, begin, end))
            .group_by(IncidentRow.kind)
            .order_by(IncidentRow.kind)
        )
        with self._reading() as session:
            return [
                IncidentCount(kind=row.kind, count=row.n, first_at=row.first, last_at=row.last)
                for row in session.execute(chosen)
            ]

    def incident_alerts_of(self, begin: datetime, end: datetime) -> list[IncidentAlert]:
        """Return the alerts that were open at any time of the period, the earliest first."""
        open_then = or_(IncidentAlertRow.closed_at.is_(None), IncidentAlertRow.closed_at >= begin)
        chosen = select(IncidentAlertRow).where(IncidentAlertRow.opened_at < end, open_then)
        ordered = chosen.order_by(IncidentAlertRow.opened_at, IncidentAlertRow.id)
        with self._reading() as session:
            return [alert_record(row) for row in session.scalars(ordered.limit(_UNBOUNDED))]

    def drift_alerts_of(self, begin: datetime, end: datetime) -> list[DriftAlert]:
        """Return the drift alerts that were open at any time of the period, the earliest first."""
        open_then = or_(AlertRow.acknowledged_at.is_(None), AlertRow.acknowledged_at >= begin)
        chosen = select(AlertRow).where(AlertRow.opened_at < end, open_then)
        ordered = chosen.order_by(AlertRow.opened_at, AlertRow.id)
        with self._reading() as session:
            return [drift_alert(row) for row in session.scalars(ordered.limit(_UNBOUNDED))]

    def references_accepted(self, end: datetime) -> list[AcceptedReference]:
        """Return the reference periods that were accepted before `end`, the earliest first."""
        chosen = select(ReferenceRow).where(ReferenceRow.accepted_at < end)
        with self._reading() as session:
            return [
                AcceptedReference(
                    accepted_at=row.accepted_at,
                    accepted_by=row.accepted_by,
                    first_day=row.first_day,
                    last_day=row.last_day,
                    models=tuple(row.models),
                )
                for row in session.scalars(chosen.order_by(ReferenceRow.accepted_at))
            ]

    def recorded_changes(self, end: datetime) -> list[RecordedChange]:
        """Return the versions of Wetread and of loaded models before `end`, the earliest first."""
        chosen = select(ChangeRow).where(ChangeRow.at < end).order_by(ChangeRow.at, ChangeRow.id)
        with self._reading() as session:
            return [
                RecordedChange(at=row.at, kind=row.kind, subject=row.subject, detail=row.detail)
                for row in session.scalars(chosen)
            ]

    def model_choices(self, begin: datetime, end: datetime) -> list[ModelChoice]:
        """Return the choices of the model for new studies, the earliest first."""
        chosen = select(ModelChoiceRow).where(_within(ModelChoiceRow.at, begin, end))
        with self._reading() as session:
            return [
                ModelChoice(at=row.at, chosen_by=row.chosen_by, model=row.model_name)
                for row in session.scalars(chosen.order_by(ModelChoiceRow.id))
            ]

    def drafting_stops_of(self, begin: datetime, end: datetime) -> list[RecordedStop]:
        """Return the stops of drafting that held at any time of the period, the earliest first."""
        held = or_(DraftingStopRow.started_at.is_(None), DraftingStopRow.started_at >= begin)
        chosen = select(DraftingStopRow).where(DraftingStopRow.stopped_at < end, held)
        with self._reading() as session:
            return [
                RecordedStop(
                    stopped_at=row.stopped_at,
                    stopped_by=row.stopped_by,
                    reason=row.reason,
                    started_at=row.started_at,
                    started_by=row.started_by,
                )
                for row in session.scalars(chosen.order_by(DraftingStopRow.id))
            ]

    def recalled_drafts(self, begin: datetime, end: datetime) -> list[RecalledDrafts]:
        """Return the withdrawals of drafts, one record for each person, model and reason."""
        by = (EventRow.actor, JobRow.model_name, JobRow.model_version, EventRow.reason)
        chosen = (
            select(
                *by,
                func.count(EventRow.job_id.distinct()).label("n"),
                func.min(EventRow.at).label("first"),
                func.max(EventRow.at).label("last"),
            )
            .join(JobRow, JobRow.id == EventRow.job_id)
            .where(EventRow.action == Event.RECALL.value, _within(EventRow.at, begin, end))
            .group_by(*by)
        )
        with self._reading() as session:
            found = [
                RecalledDrafts(
                    first_at=row.first,
                    last_at=row.last,
                    actor=row.actor,
                    model=row.model_name,
                    version=row.model_version,
                    reason=row.reason,
                    drafts=row.n,
                )
                for row in session.execute(chosen)
            ]
        return sorted(found, key=lambda each: (each.first_at, each.actor, each.model, each.reason))

    def audit_range(self, begin: datetime, end: datetime) -> tuple[int, int] | None:
        """Return the ids of the first and the last record of the audit trail; None if there is none.

        All records between the two belong to the period, also where the clock was set back meanwhile:
        a part of the chain has no gap.
        """
        chosen = select(func.min(AuditRow.id), func.max(AuditRow.id)).where(
            _within(AuditRow.at, begin, end)
        )
        with self._reading() as session:
            first, last = session.execute(chosen).one()
        return None if first is None or last is None else (first, last)


def _within(column: Any, begin: datetime, end: datetime) -> ColumnElement[bool]:  # noqa: ANN401 - a column of any table
    return and_(column >= begin, column < end)


def _drafts(begin: datetime, end: datetime) -> list[ColumnElement[bool]]:
    return [
        JobRow.draft.is_not(None),
        _within(JobRow.produced_at, begin, end),
        not_a_probe(JobRow.study_instance_uid),
    ]


def _identity(
    session: Session, model: str, version: str, made: list[ColumnElement[bool]]
) -> ModelIdentity | None:
    latest = (
        select(JobRow.draft)
        .where(*made, JobRow.model_name == model, JobRow.model_version == version)
        .order_by(JobRow.produced_at.desc(), JobRow.id.desc())
        .limit(1)
    )
    try:
        return DraftReport.from_json(session.scalar(latest)).model
    except UnreadableDraft:
        return None
