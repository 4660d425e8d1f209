"""Queries and records of the comparison with an archive."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database.pieces import pieces
from service.database.tables import InstanceRow, JobRow, ObjectRow, ReconcileRow, StudyRow
from service.records import JobNeed, Reconciliation
from service.store.session import Transactions


class Reconciliations(Transactions):
    """Which Instances of an archive are known here, and how the latest comparison ended."""

    def known_instances(self, sop_instance_uids: Collection[str]) -> set[str]:
        """Return the UIDs that were received, or that belong to our own results."""
        known: set[str] = set()
        with self._reading() as session:
            for uids in pieces(sop_instance_uids):
                for column in (InstanceRow.sop_instance_uid, ObjectRow.sop_instance_uid):
                    known.update(session.scalars(select(column).where(column.in_(uids))))
        return known

    def received_studies(self, study_instance_uids: Collection[str]) -> dict[str, JobNeed]:
        """Return the JobNeed, by UID, of each of these Studies that has a received Instance."""
        found: dict[str, JobNeed] = {}
        job = select(JobRow.id).where(JobRow.study_instance_uid == StudyRow.study_instance_uid)
        with self._reading() as session:
            for uids in pieces(study_instance_uids):
                chosen = select(
                    StudyRow.study_instance_uid, StudyRow.quiet_at, job.exists().label("has_job")
                ).where(StudyRow.study_instance_uid.in_(uids))
                found.update({row[0]: _need(row[1], row[2]) for row in session.execute(chosen)})
        return found

    def reconciliations(self) -> list[Reconciliation]:
        """Return the latest comparison with each archive, sorted by name."""
        with self._reading() as session:
            rows = session.scalars(select(ReconcileRow).order_by(ReconcileRow.archive))
            return [_record(row) for row in rows]

    def note_reconciliation(
        self,
        archive: str,
        *,
        position: int | None,
        missing: int,
        complete_at: datetime | None,
        fault: str = "",
    ) -> None:
        """Record the result of a comparison.

        Args:
            archive: Name of the archive.
            position: The archive's change after which the next comparison begins; None: unchanged.
            missing: Number of Studies that are missing or incomplete here.
            complete_at: Everything the archive held at this time was received. None or an earlier time
                leaves the stored value.
            fault: Why not everything could be fetched; "" otherwise.
        """
        with self._writing() as session:
            row = self._reconcile_row(session, archive)
            row.missing, row.fault = missing, fault
            row.position = row.position if position is None else position
            row.tried_at = row.compared_at = self.now()
            if complete_at is not None:
                row.complete_at = max(complete_at, row.complete_at or complete_at)

    def note_not_compared(self, archive: str, fault: str) -> None:
        """Record why an archive could not be compared; the earlier result stays."""
        with self._writing() as session:
            row = self._reconcile_row(session, archive)
            row.tried_at, row.fault = self.now(), fault

    def _reconcile_row(self, session: Session, archive: str) -> ReconcileRow:
        first = {"tried_at": self.now(), "position": 0, "missing": 0, "fault": ""}
        self._insert_new(session, ReconcileRow, archive=archive, **first)
        return session.get_one(ReconcileRow, archive)


def _need(quiet_at: datetime | None, has_job: bool) -> JobNeed:
    if has_job:
        return JobNeed.NONE
    return JobNeed.OVERDUE if quiet_at is None else JobNeed.WAITS


def _record(row: ReconcileRow) -> Reconciliation:
    return Reconciliation(
        archive=row.archive,
        position=row.position,
        tried_at=row.tried_at,
        compared_at=row.compared_at,
        complete_at=row.complete_at,
        missing=row.missing,
        fault=row.fault,
    )
