"""Notes in a job's history, and queries for drafts by model, version and time."""

from typing import Final

from sqlalchemy import ColumnElement, Text, case, func, null, or_, select, type_coerce

from service.database.tables import JobRow
from service.jobs import JobState
from service.records import DraftedModel, Job, WantedDrafts
from service.store import record_mapping
from service.store.transitions import Transitions

_NAMED: Final[ColumnElement[str | None]] = JobRow.draft[("model", "name")].as_string()


class History(Transitions):
    """Adds to a job's history without changing its state, and finds drafts."""

    @property
    def _own_name(self) -> ColumnElement[str | None]:
        """The model's name as a draft gives it; it may differ from its name in the settings.

        PostgreSQL stores no invalid JSON. SQLite does, and one invalid draft would fail the query.
        """
        if not self._is_sqlite:
            return _NAMED
        is_valid = func.json_valid(type_coerce(JobRow.draft, Text)) == 1
        own_name: ColumnElement[str | None] = case((is_valid, _NAMED), else_=null())
        return own_name

    def note(self, job_id: str, action: str, actor: str, reason: str) -> None:
        """Add a line to the job's history.

        Raises:
            NotFound: There is no such job.
        """
        with self._writing() as session:
            state = JobState(self._row(session, job_id).state)
            self._event(session, job_id, action, actor, (state, state), reason)

    def drafts_since(self, wanted: WantedDrafts) -> list[Job]:
        """Return the jobs whose drafts match `wanted`, the oldest first."""
        chosen = select(JobRow).where(JobRow.draft.is_not(None))
        if wanted.since is not None:
            chosen = chosen.where(JobRow.produced_at >= wanted.since)
        if wanted.study is not None:
            chosen = chosen.where(JobRow.study_instance_uid == wanted.study)
        if wanted.version is not None:
            chosen = chosen.where(JobRow.model_version == wanted.version)
        if wanted.models:
            named = JobRow.model_name.in_(wanted.models)
            chosen = chosen.where(or_(named, self._own_name.in_(wanted.models)))
        with self._reading() as session:
            found = session.scalars(chosen.order_by(JobRow.produced_at, JobRow.id))
            return record_mapping.jobs(found)

    def drafted_models(self) -> list[DraftedModel]:
        """Return the models that have drafts, sorted by name and version."""
        which = (JobRow.model_name, self._own_name.label("own_name"), JobRow.model_version)
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
