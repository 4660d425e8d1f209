"""What becomes of a job's results after delivery; the job's history says so."""

from typing import Final

from sqlalchemy import func, or_, select

from service.jobs import JobState
from service.models import JobRow
from service.records import DraftedModel, Job, WantedDrafts
from service.store import rows
from service.store.moves import Moves

# As the drafts of a model give it, which need not be its name in the settings.
_OWN_NAME: Final = JobRow.draft[("model", "name")].as_string()


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

    def drafts_since(self, wanted: WantedDrafts) -> list[Job]:
        """Return the jobs whose drafts are wanted, the oldest first."""
        chosen = select(JobRow).where(JobRow.draft.is_not(None))
        if wanted.since is not None:
            chosen = chosen.where(JobRow.produced_at >= wanted.since)
        if wanted.study is not None:
            chosen = chosen.where(JobRow.study_instance_uid == wanted.study)
        if wanted.version is not None:
            chosen = chosen.where(JobRow.model_version == wanted.version)
        if wanted.models:
            named = JobRow.model_name.in_(wanted.models)
            chosen = chosen.where(or_(named, _OWN_NAME.in_(wanted.models)))
        with self._reading() as session:
            found = session.scalars(chosen.order_by(JobRow.produced_at, JobRow.id))
            return [rows.job(row) for row in found]

    def drafted_models(self) -> list[DraftedModel]:
        """Return the models by which there are drafts, by name and version."""
        which = (JobRow.model_name, _OWN_NAME, JobRow.model_version)
        chosen = (
            select(*which, func.count(), func.max(JobRow.produced_at))
            .where(JobRow.draft.is_not(None))
            .group_by(*which)
            .order_by(*which)
        )
        with self._reading() as session:
            return [
                DraftedModel(
                    name=name, own_name=own or "", version=version, drafts=count, last=last
                )
                for name, own, version, count, last in session.execute(chosen)
            ]
