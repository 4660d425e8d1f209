"""What becomes of a job's results after delivery; the job's history says so."""

from datetime import datetime

from sqlalchemy import select

from service.jobs import JobState
from service.models import JobRow
from service.records import Job
from service.store import rows
from service.store.moves import Moves


class Notes(Moves):
    """Adds to a job's history without changing its state."""

    def note(self, job_id: str, action: str, actor: str, reason: str) -> None:
        """Add a line to the job's history.

        Raises:
            NotFound: There is no such job.
        """
        with self._writing() as session:
            state = JobState(self._row(session, job_id).state)
            self._event(session, job_id, action, actor, (state, state), reason)

    def drafts_since(self, model: str, since: datetime, version: str | None = None) -> list[Job]:
        """Return the jobs that were drafted by a model since a time, the oldest first.

        Args:
            model: The model's name, as configured or as its drafts give it.
            since: Of the draft's own time.
            version: Only this version; any when None.
        """
        chosen = (
            select(JobRow)
            .where(JobRow.draft.is_not(None), JobRow.produced_at >= since)
            .order_by(JobRow.produced_at, JobRow.id)
        )
        if version is not None:
            chosen = chosen.where(JobRow.model_version == version)
        with self._reading() as session:
            found = [rows.job(row) for row in session.scalars(chosen)]
        return [job for job in found if model in (job.model_name, _name(job))]


def _name(job: Job) -> str:
    return job.draft.model.name if job.draft else ""
