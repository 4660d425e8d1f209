"""Makes jobs: the first job of a study, and the rule for Instances that arrive later.

| The latest job of the study for the model   | a later Instance leads to                            |
|---------------------------------------------|------------------------------------------------------|
| none                                        | revision 1                                           |
| SCHEDULED                                   | nothing: that job reads all Instances when it starts |
| has read every Instance                     | nothing                                              |
| IN_PROGRESS, DRAFTED or COMPLETED, and none | a line in its history: they could not change what it |
| of the later Instances is eligible          | reads                                                |
| any other case                              | the next revision, which supersedes it               |

The next revision waits until the one before it has been read. If it then reads the same image, it is
CANCELED with NO_CHANGE and the earlier draft stands.
"""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, Row, update

from service.audit import AuditEvent
from service.database.tables import DeliveryRow, JobRow
from service.errors import NotFound
from service.jobs import Event, JobState
from service.records import Job, JobRequest
from service.store.session import new_id
from service.store.statements.compiled import Build, choice_of
from service.store.statements.jobs import (
    clear_quiet_time,
    jobs_of_studies,
    locked_studies,
    new_events,
    new_jobs,
    newest_instances,
)
from service.store.transitions import Transitions, changed_rows

_READ: Final = frozenset({JobState.IN_PROGRESS, JobState.DRAFTED, JobState.COMPLETED})
_NO_JOB: Final[dict[str, Any]] = {
    each.name: None if each.default is MISSING else each.default for each in fields(Job)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the database holds of one study.

    Attributes:
        calling_ae: Calling AE of its latest Instance.
        urgent: Whether its next job is read before others.
        latest: The last revision of its job for the requested model, or None.
        newest: Highest id of its Instances (conflicts left out), 0 for none.
        newest_eligible: The same for Instances that a job may read.
    """

    calling_ae: str
    urgent: bool
    latest: Row[*tuple[Any, ...]] | None
    newest: int
    newest_eligible: int


class Scheduling(Transitions):
    """The part of the store that makes jobs."""

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
        """Make a job that reads the study; return it, or None if none is needed.

        The job is committed with `published_at` set: publish it then, or mark it by `mark_unpublished`.

        Args:
            study_uid: Study Instance UID.
            model: Name of the model that will read it.
            version: Release of the model.
            calling_ae: Calling AE of the job; that of the latest Instance when empty.
            urgent: Whether it is read before others; it also is if an Instance of the study was urgent.
            actor: Process or person that asks for it.
            reason: Why, a sentence for the job's history.
            force: Make a new revision although nothing changed, unless the latest is still SCHEDULED.

        Raises:
            NotFound: There is no such study.
        """
        request = JobRequest(
            study_instance_uid=study_uid,
            model=model,
            version=version,
            calling_ae=calling_ae,
            urgent=urgent,
            force=force,
        )
        return next(iter(self.schedule_all([request], actor=actor, reason=reason)), None)

    def schedule_all(
        self,
        requests: Sequence[JobRequest],
        *,
        actor: str,
        reason: str,
        audit: AuditEvent | None = None,
    ) -> list[Job]:
        """Make the jobs of several studies in one transaction, as `schedule` does; return the new ones.

        Args:
            requests: What is to be read; each study at most once.
            actor: Process or person that asks for it.
            reason: Why, a sentence for each job's history.
            audit: The record of each new job for the audit trail, in the same transaction.

        Raises:
            NotFound: One of the studies is not here; no job was made.
        """
        if not requests:
            return []
        with self._write_connection() as connection:
            known = self._known(
                connection, {each.study_instance_uid: each.model for each in requests}
            )
            needed = [
                self._new_job(each, known[each.study_instance_uid])
                for each in requests
                if self._needed(connection, known[each.study_instance_uid], each.force, actor)
            ]
            if needed:
                self._insert(connection, needed, actor, reason)
            made = [_record(values) for values in needed]
            for job in made:
                self._audit(connection, audit, study_uid=job.study_instance_uid, job_id=job.id)
            return made

    def _known(self, connection: Connection, models: dict[str, str]) -> dict[str, _Known]:
        """Lock the studies, mark them as not waiting for a job, and return what is here of each."""
        uids = sorted(models)
        count, choice = choice_of(uids)

        def ask(build: Build) -> CursorResult[*tuple[Any, ...]]:
            return self._statements.get(build, count).execute(connection, choice)

        # Locked first: jobs and Instances of these studies cannot change until the commit.
        studies = {row.study_instance_uid: row for row in ask(locked_studies)}
        for uid in uids:
            if uid not in studies:
                raise NotFound(f"there is no study {uid}")
        ask(clear_quiet_time)
        latest = {
            row.study_instance_uid: row
            for row in ask(jobs_of_studies)
            if row.model_name == models[row.study_instance_uid]
        }
        images = {uid: (newest, eligible) for uid, newest, eligible in ask(newest_instances)}
        return {
            uid: _known(studies[uid], latest.get(uid), *images.get(uid, (0, 0))) for uid in uids
        }

    def _needed(self, connection: Connection, known: _Known, force: bool, actor: str) -> bool:
        latest = known.latest
        if latest is None or not known.newest:  # with conflicts only, there is nothing to read
            return bool(known.newest)
        state = JobState(latest.state)
        if state is JobState.SCHEDULED or force:
            return state is not JobState.SCHEDULED
        seen = latest.read_through or 0
        if known.newest <= seen:
            return False
        if state in _READ and known.newest_eligible <= seen:
            sentence = "Later images of the study cannot be read; the existing draft stays valid."
            self._event(connection, latest.id, Event.LATER_IMAGES, actor, (state, state), sentence)
            return False
        return True

    def _new_job(self, request: JobRequest, known: _Known) -> dict[str, Any]:
        """Return the columns of a new job's row; columns that are left out are NULL."""
        now, latest = self.now(), known.latest
        return {
            "id": new_id(),
            "study_instance_uid": request.study_instance_uid,
            "calling_ae": request.calling_ae or known.calling_ae,
            "urgent": request.urgent or known.urgent,
            "model_name": request.model,
            "model_version": request.version,
            "revision": latest.revision + 1 if latest else 1,
            "supersedes": latest.id if latest else None,
            "state": JobState.SCHEDULED.value,
            "forced": request.force,
            "destinations": None if request.destinations is None else list(request.destinations),
            "created_at": now,
            "updated_at": now,
            # As if published: otherwise the sweeper could publish it as well.
            "published_at": now,
            "reason_code": "",
            "reason": "",
            "attempts": 0,
            "first_error": "",
            "last_error": "",
            "lease_owner": "",
            "fence": 0,
        }

    def _insert(
        self, connection: Connection, jobs: list[dict[str, Any]], actor: str, reason: str
    ) -> None:
        begun = [
            {
                "job_id": job["id"],
                "at": job["created_at"],
                "actor": actor,
                "action": Event.SCHEDULE.value,
                "from_state": None,
                "to_state": JobState.SCHEDULED.value,
                "reason": reason,
                "code": "",
            }
            for job in jobs
        ]
        self._statements.insert(connection, new_jobs, jobs)
        self._statements.insert(connection, new_events, begun)

    def mark_unpublished(self, *job_ids: str) -> None:
        """Record that jobs could not be published: the sweeper publishes them at its next look."""
        with self._writing() as session:
            jobs = update(JobRow).where(JobRow.id.in_(job_ids))
            changed_rows(session, jobs.values(published_at=None))
            deliveries = update(DeliveryRow).where(DeliveryRow.job_id.in_(job_ids))
            changed_rows(session, deliveries.values(published_at=None))


def _known(
    study: Row[*tuple[Any, ...]],
    latest: Row[*tuple[Any, ...]] | None,
    newest: int,
    newest_eligible: int,
) -> _Known:
    return _Known(
        calling_ae=study.calling_ae,
        urgent=bool(study.urgent),
        latest=latest,
        newest=newest,
        newest_eligible=newest_eligible,
    )


def _record(values: dict[str, Any]) -> Job:
    """Return the record of a job with these columns; columns that are left out are None."""
    request = values["destinations"]
    typed = {
        "state": JobState(values["state"]),
        "destinations": None if request is None else tuple(request),
    }
    return Job(**(_NO_JOB | values | typed))
