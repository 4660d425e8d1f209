"""Films become jobs: the first job of a study, and the rule for films that come later.

| The latest job of the study            | a later film leads to                                   |
|----------------------------------------|---------------------------------------------------------|
| none                                   | revision 1                                              |
| SCHEDULED                              | nothing: that job reads every film here when it starts  |
| IN_PROGRESS or beyond                  | the next revision, which supersedes it                  |
| read something, later films ineligible | a line in its history: they could not change it         |
| has read every film                    | nothing                                                 |

The next revision waits until the one before it has been read. If it then reads the same film, it is
CANCELED with NO_CHANGE and the earlier draft stands.
"""

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.jobs import JobState
from service.models import DeliveryRow, InstanceRow, JobRow, StudyRow
from service.records import Job
from service.store import rows
from service.store.moves import Moves, changed_rows
from service.store.session import new_job_id

_READ = (JobState.IN_PROGRESS, JobState.DRAFTED, JobState.COMPLETED)


class Scheduling(Moves):
    """Makes jobs."""

    def schedule(
        self,
        study_uid: str,
        *,
        model: str,
        version: str,
        calling_ae: str = "",
        urgent: bool = False,
        actor: str,
        reason: str,
        force: bool = False,
    ) -> Job | None:
        """Return the new job that reads the study's films, or None when none is needed.

        The caller publishes it, now that it is committed; `published_at` is set as if it had.

        Args:
            study_uid: Study Instance UID.
            model: Name of the model that will read it.
            version: Its release.
            calling_ae: Who sent it; whoever sent the last film when empty.
            urgent: It overtakes others; so does a study of which a film was urgent.
            actor: Who asks.
            reason: Why, a sentence for the job's history.
            force: A new revision even though nothing changed.

        Raises:
            NotFound: There is no such study.
        """
        with self._writing() as session:
            study = self._lock_study(session, study_uid)
            study.quiet_at = None
            latest = self._latest(session, study_uid, model)
            newest = self._newest_film(session, study_uid)
            if newest is None or not self._needed(session, latest, newest, force, actor):
                return None
            row = self._new_row(study, latest, model, version, forced=force)
            row.urgent = urgent or study.urgent
            row.calling_ae = calling_ae or study.calling_ae
            session.add(row)
            session.flush()
            self._event(session, row.id, "schedule", actor, (None, JobState.SCHEDULED), reason)
            return rows.job(row)

    def _latest(self, session: Session, study_uid: str, model: str) -> JobRow | None:
        return session.scalar(
            select(JobRow)
            .where(JobRow.study_instance_uid == study_uid, JobRow.model_name == model)
            .order_by(JobRow.revision.desc())
            .limit(1)
        )

    def _needed(
        self, session: Session, latest: JobRow | None, newest: int, force: bool, actor: str
    ) -> bool:
        if latest is None:
            return True
        state = JobState(latest.state)
        if state is JobState.SCHEDULED:
            return False
        if force:
            return True
        seen = latest.read_through or 0
        if newest <= seen:
            return False
        if state in _READ and not self._eligible_after(session, latest.study_instance_uid, seen):
            words = "Later films of the study cannot be read; what was read stands."
            self._event(session, latest.id, "later_films", actor, (state, state), words)
            return False
        return True

    def _eligible_after(self, session: Session, study_uid: str, seen: int) -> bool:
        return bool(
            session.scalar(
                select(func.count())
                .select_from(InstanceRow)
                .where(
                    InstanceRow.study_instance_uid == study_uid,
                    InstanceRow.id > seen,
                    InstanceRow.eligible,
                    ~InstanceRow.conflict,
                )
            )
        )

    def _new_row(
        self, study: StudyRow, latest: JobRow | None, model: str, version: str, *, forced: bool
    ) -> JobRow:
        now = self.now()
        return JobRow(
            id=new_job_id(),
            study_instance_uid=study.study_instance_uid,
            model_name=model,
            model_version=version,
            revision=latest.revision + 1 if latest else 1,
            supersedes=latest.id if latest else None,
            state=JobState.SCHEDULED.value,
            forced=forced,
            created_at=now,
            updated_at=now,
            published_at=now,
            reason_code="",
            reason="",
            attempts=0,
            first_error="",
            last_error="",
            lease_owner="",
            fence=0,
        )

    def unpublished(self, job_id: str) -> None:
        """Note that no message could be sent for the job: the sweeper sends it as soon as it can."""
        with self._writing() as session:
            job = update(JobRow).where(JobRow.id == job_id)
            changed_rows(session, job.values(published_at=None))
            deliveries = update(DeliveryRow).where(DeliveryRow.job_id == job_id)
            changed_rows(session, deliveries.values(published_at=None))
