"""Makes studies wait for a job again that have none and wait for none."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Update, select, update

from service.audit import AuditEvent
from service.database.tables import JobRow, StudyRow
from service.store.audit.append import Audited
from service.store.throughput.computing import standings
from service.store.transitions import changed_rows
from service.throughput.balance import StudyClass


class UnaccountedRepair(Audited):
    """The part of the store that repairs the balance."""

    def schedule_unaccounted(self, hours: Iterable[datetime], audit: AuditEvent) -> int:
        """Let the unaccounted studies of these hours wait for a job, which the sweeper makes at once.

        Args:
            hours: The hours in which they were received.
            audit: The record for the audit trail, one for each study.

        Returns:
            How many studies wait now.
        """
        repaired = 0
        with self._writing() as session:
            for each in (found for hour in hours for found in standings(session, hour)):
                if each.study_class is not StudyClass.UNACCOUNTED:
                    continue
                if changed_rows(session, _wait_now(each.study_instance_uid, self.now())):
                    repaired += 1
                    self._audit(session, audit, study_uid=each.study_instance_uid)
        return repaired


def _wait_now(study_uid: str, now: datetime) -> Update:
    job = select(JobRow.id).where(JobRow.study_instance_uid == study_uid)
    return (
        update(StudyRow)
        .where(
            StudyRow.study_instance_uid == study_uid,
            StudyRow.quiet_at.is_(None),
            ~job.exists(),
        )
        .values(quiet_at=now)
    )
