"""Reference periods, charts and alerts of drift in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select

from service.audit import AuditAction
from service.database.audit_tables import AuditRow
from service.database.drift_tables import AlertRow, ChartRow, MonitorRowRow, ReferenceRow
from service.drift.alert import DriftAlert
from service.drift.rows import MonitorRow, RowKind
from service.drift.streams import Level
from service.drift.summary import ReferenceSummary
from service.errors import NotFound
from service.store.drift.recording import categories_of_json
from service.store.session import Transactions

_LONGEST_NOTE: Final = 500
_COLUMNS: Final = (
    MonitorRowRow.kind,
    MonitorRowRow.source_id,
    MonitorRowRow.job_id,
    MonitorRowRow.study_uid,
    MonitorRowRow.at,
    MonitorRowRow.day,
    MonitorRowRow.categories,
    MonitorRowRow.events,
    MonitorRowRow.numbers,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference period in force.

    Attributes:
        first_day: YYYY-MM-DD.
        last_day: Included.
        models: The models whose drafts were read in it.
    """

    id: int
    first_day: str
    last_day: str
    accepted_at: datetime
    accepted_by: str
    models: tuple[str, ...]
    summary: ReferenceSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChart:
    """A chart as last computed."""

    name: str
    computed_at: datetime
    content: dict[str, Any]


class DriftStore(Transactions):
    """The part of the store for reference periods, charts and alerts."""

    def monitor_rows(self, first_day: str, last_day: str | None = None) -> list[MonitorRow]:
        """Return the rows of a period in order, both days included; up to now without `last_day`."""
        # Columns, not entities: there may be a hundred thousand rows.
        chosen = select(*_COLUMNS).where(_since(first_day))
        if last_day is not None:
            chosen = chosen.where(MonitorRowRow.day <= last_day)
        chosen = chosen.order_by(MonitorRowRow.at, MonitorRowRow.kind, MonitorRowRow.source_id)
        with self._reading() as session:
            return [_row(row) for row in session.execute(chosen)]

    def monitor_days(self, first_day: str) -> list[tuple[str, str, int]]:
        """Return (day, kind, number of rows) of every day since `first_day` that has rows."""
        chosen = (
            select(MonitorRowRow.day, MonitorRowRow.kind, func.count())
            .where(_since(first_day))
            .group_by(MonitorRowRow.day, MonitorRowRow.kind)
        )
        with self._reading() as session:
            return sorted((day, kind, count) for day, kind, count in session.execute(chosen))

    def newest_monitor_row(self) -> tuple[int, datetime | None]:
        """Return the number of rows and the time of the newest: they change with the rows."""
        chosen = select(func.count(), func.max(MonitorRowRow.at)).select_from(MonitorRowRow)
        with self._reading() as session:
            count, newest = session.execute(chosen).one()
            return count, newest

    def drift_reference(self) -> Reference | None:
        """Return the reference period in force; None if no person has accepted one."""
        with self._reading() as session:
            row = session.scalar(select(ReferenceRow).order_by(ReferenceRow.id.desc()).limit(1))
            return None if row is None else _reference(row)

    def accept_reference(
        self,
        days: tuple[str, str],
        summary: ReferenceSummary,
        models: Sequence[str],
        actor: str,
    ) -> Reference:
        """Store a reference period; it is in force from now on, and charts begin after it."""
        with self._writing() as session:
            row = ReferenceRow(
                first_day=days[0],
                last_day=days[1],
                accepted_at=self.now(),
                accepted_by=actor,
                models=list(models),
                summary=summary.to_json(),
            )
            session.add(row)
            session.execute(delete(ChartRow))
            session.flush()
            return _reference(row)

    def store_charts(self, charts: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Replace the stored charts."""
        with self._writing() as session:
            session.execute(delete(ChartRow))
            for position, (name, content) in enumerate(charts):
                values = {"name": name, "position": position, "computed_at": self.now()}
                session.execute(insert(ChartRow).values(**values, content=content))

    def drift_charts(self) -> list[StoredChart]:
        """Return the charts as last computed, in the order of the streams."""
        with self._reading() as session:
            return [
                StoredChart(name=row.name, computed_at=row.computed_at, content=row.content)
                for row in session.scalars(select(ChartRow).order_by(ChartRow.position))
            ]

    def open_alert(self, alert: DriftAlert, reference_id: int) -> bool:
        """Open an alert unless its chart has an open one; return whether it was opened."""
        with self._writing() as session:
            return self._insert_new(
                session,
                AlertRow,
                reference_id=reference_id,
                chart=alert.chart,
                title=alert.title,
                level=alert.level.value,
                words=alert.words,
                first=alert.first,
                last=alert.last,
                n=alert.n,
                subgroup=alert.subgroup,
                changes=list(alert.changes),
                cases=list(alert.cases),
                opened_at=alert.opened_at,
                acknowledged_by="",
                note="",
            )

    def drift_alerts(self, *, only_open: bool = False, limit: int = 100) -> list[DriftAlert]:
        """Return alerts, the latest first."""
        chosen = select(AlertRow).order_by(AlertRow.opened_at.desc(), AlertRow.id.desc())
        if only_open:
            chosen = chosen.where(AlertRow.acknowledged_at.is_(None))
        with self._reading() as session:
            return [drift_alert(row) for row in session.scalars(chosen.limit(limit))]

    def acknowledge_alert(self, number: int, actor: str, note: str) -> DriftAlert:
        """Acknowledge an alert; its chart begins anew. A second time changes nothing.

        Raises:
            NotFound: There is no such alert.
        """
        with self._writing() as session:
            row = session.get(AlertRow, number)
            if row is None:
                raise NotFound(f"there is no alert {number}")
            if row.acknowledged_at is None:
                row.acknowledged_at, row.acknowledged_by = self.now(), actor
                row.note = note.strip()[:_LONGEST_NOTE]
            return drift_alert(row)

    def chart_starts(self, reference_id: int) -> dict[str, datetime]:
        """Return for each chart when its latest alert was acknowledged, under this reference."""
        chosen = (
            select(AlertRow.chart, func.max(AlertRow.acknowledged_at).label("at"))
            .where(AlertRow.acknowledged_at.is_not(None), AlertRow.reference_id == reference_id)
            .group_by(AlertRow.chart)
        )
        with self._reading() as session:
            return {row.chart: row.at for row in session.execute(chosen)}

    def settings_changes(self, since: datetime) -> list[datetime]:
        """Return when the settings in force changed, by the audit trail."""
        chosen = select(AuditRow.at).where(
            AuditRow.action == AuditAction.CHANGED_SETTINGS.value, AuditRow.at >= since
        )
        with self._reading() as session:
            return sorted(session.scalars(chosen))


def _since(day: str) -> ColumnElement[bool]:
    """Return the condition for rows of this day or a later one; the time has an index."""
    # A site's day begins up to 14 hours before that of UTC.
    begin = datetime.combine(date.fromisoformat(day), time(), UTC) - timedelta(days=1)
    return and_(MonitorRowRow.at >= begin, MonitorRowRow.day >= day)


def _row(row: Row[*tuple[Any, ...]]) -> MonitorRow:
    return MonitorRow(
        kind=RowKind(row.kind),
        source_id=row.source_id,
        job_id=row.job_id,
        study_uid=row.study_uid,
        at=row.at,
        day=row.day,
        categories=categories_of_json(row.categories),
        events=row.events,
        numbers=row.numbers,
    )


def _reference(row: ReferenceRow) -> Reference:
    return Reference(
        id=row.id,
        first_day=row.first_day,
        last_day=row.last_day,
        accepted_at=row.accepted_at,
        accepted_by=row.accepted_by,
        models=tuple(row.models),
        summary=ReferenceSummary.from_json(row.summary),
    )


def drift_alert(row: AlertRow) -> DriftAlert:
    """Return the record of a row."""
    return DriftAlert(
        id=row.id,
        chart=row.chart,
        title=row.title,
        level=Level(row.level),
        words=row.words,
        first=row.first,
        last=row.last,
        n=row.n,
        subgroup=row.subgroup,
        changes=tuple(row.changes),
        cases=tuple(row.cases),
        opened_at=row.opened_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        note=row.note,
    )
