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

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, case, func, insert, select, update
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.jobs import JobState
from service.models import DeliveryRow, EventRow, InstanceRow, JobRow, StudyRow
from service.records import Job, Wanted
from service.store import rows
from service.store.moves import Moves, changed_rows
from service.store.session import new_job_id

_READ: Final = frozenset({JobState.IN_PROGRESS, JobState.DRAFTED, JobState.COMPLETED})
_STUDIES: Final = StudyRow.__table__
_FILMS: Final = InstanceRow.__table__
_JOBS: Final = JobRow.__table__


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is here of one study; films by the number of their row, 0 for none.

    Attributes:
        latest: The last revision of its job for the model that is asked for, or None.
    """

    study: Row[*tuple[Any, ...]]
    latest: Row[*tuple[Any, ...]] | None
    newest: int = 0
    newest_eligible: int = 0


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
        wanted = Wanted(
            study_instance_uid=study_uid,
            model=model,
            version=version,
            calling_ae=calling_ae,
            urgent=urgent,
            force=force,
        )
        return next(iter(self.schedule_all([wanted], actor=actor, reason=reason)), None)

    def schedule_all(self, wanted: Sequence[Wanted], *, actor: str, reason: str) -> list[Job]:
        """Return the new jobs of several studies, made in one transaction as `schedule` makes one.

        Args:
            wanted: What is to be read; each study once, and as many as one transaction may hold.
            actor: Who asks.
            reason: Why, a sentence for each job's history.

        Raises:
            NotFound: One of the studies is not here; no job was made.
        """
        with self._writing() as session:
            known = self._known(session, {each.study_instance_uid: each.model for each in wanted})
            needed = [
                self._new_job(each, known[each.study_instance_uid])
                for each in wanted
                if self._needed(session, known[each.study_instance_uid], each.force, actor)
            ]
            if needed:
                self._insert(session, needed, actor, reason)
            return [rows.job(JobRow(**values)) for values in needed]

    def _known(self, session: Session, models: dict[str, str]) -> dict[str, _Known]:
        """Return what is here of each study, its row locked, marked as no longer waiting for a job."""
        uids = sorted(models)
        connection = session.connection()
        studies = {
            row.study_instance_uid: row
            for row in connection.execute(
                select(_STUDIES)
                .where(_STUDIES.c.study_instance_uid.in_(uids))
                # In one order, so that nobody deadlocks.
                .order_by(_STUDIES.c.study_instance_uid)
                .with_for_update()
            )
        }
        for uid in uids:
            if uid not in studies:
                raise NotFound(f"there is no study {uid}")
        waiting = update(StudyRow).where(_STUDIES.c.study_instance_uid.in_(uids))
        connection.execute(waiting.values(quiet_at=None))
        latest, films = self._latest(session, models), self._films_seen(session, uids)
        return {
            uid: _Known(study=studies[uid], latest=latest.get(uid), **films.get(uid, {}))
            for uid in uids
        }

    def _latest(self, session: Session, models: dict[str, str]) -> dict[str, Row[*tuple[Any, ...]]]:
        columns = (_JOBS.c.id, _JOBS.c.study_instance_uid, _JOBS.c.model_name, _JOBS.c.revision)
        found = session.connection().execute(
            select(*columns, _JOBS.c.state, _JOBS.c.read_through)
            .where(_JOBS.c.study_instance_uid.in_(list(models)))
            .order_by(_JOBS.c.revision)
        )
        return {
            row.study_instance_uid: row
            for row in found
            if row.model_name == models[row.study_instance_uid]
        }

    def _films_seen(self, session: Session, uids: Collection[str]) -> dict[str, dict[str, int]]:
        found = session.connection().execute(
            select(
                _FILMS.c.study_instance_uid,
                func.max(_FILMS.c.id).label("newest"),
                func.max(case((_FILMS.c.eligible, _FILMS.c.id), else_=0)).label("newest_eligible"),
            )
            .where(_FILMS.c.study_instance_uid.in_(uids), ~_FILMS.c.conflict)
            .group_by(_FILMS.c.study_instance_uid)
        )
        return {
            uid: {"newest": newest, "newest_eligible": eligible} for uid, newest, eligible in found
        }

    def _needed(self, session: Session, known: _Known, force: bool, actor: str) -> bool:
        latest = known.latest
        if latest is None or not known.newest:
            return bool(known.newest)
        state = JobState(latest.state)
        if state is JobState.SCHEDULED or force:
            return state is not JobState.SCHEDULED
        seen = latest.read_through or 0
        if known.newest <= seen:
            return False
        if state in _READ and known.newest_eligible <= seen:
            words = "Later films of the study cannot be read; what was read stands."
            self._event(session, latest.id, "later_films", actor, (state, state), words)
            return False
        return True

    def _new_job(self, wanted: Wanted, known: _Known) -> dict[str, Any]:
        """Return the columns of a job's row; those left out are NULL."""
        now, latest = self.now(), known.latest
        return {
            "id": new_job_id(),
            "study_instance_uid": wanted.study_instance_uid,
            "calling_ae": wanted.calling_ae or known.study.calling_ae,
            "urgent": wanted.urgent or known.study.urgent,
            "model_name": wanted.model,
            "model_version": wanted.version,
            "revision": latest.revision + 1 if latest else 1,
            "supersedes": latest.id if latest else None,
            "state": JobState.SCHEDULED.value,
            "forced": wanted.force,
            "destinations": None if wanted.destinations is None else list(wanted.destinations),
            "created_at": now,
            "updated_at": now,
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
        self, session: Session, jobs: list[dict[str, Any]], actor: str, reason: str
    ) -> None:
        begun = [
            {
                "job_id": job["id"],
                "at": job["created_at"],
                "actor": actor,
                "action": "schedule",
                "from_state": None,
                "to_state": JobState.SCHEDULED.value,
                "reason": reason,
            }
            for job in jobs
        ]
        connection = session.connection()
        connection.execute(insert(JobRow), jobs)
        connection.execute(insert(EventRow), begun)

    def unpublished(self, *job_ids: str) -> None:
        """Note that no message could be sent for jobs: the sweeper sends it as soon as it can."""
        with self._writing() as session:
            jobs = update(JobRow).where(JobRow.id.in_(job_ids))
            changed_rows(session, jobs.values(published_at=None))
            deliveries = update(DeliveryRow).where(DeliveryRow.job_id.in_(job_ids))
            changed_rows(session, deliveries.values(published_at=None))
