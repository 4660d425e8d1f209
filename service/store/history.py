"""Notes in a job's history, and queries for drafts by model, version and time."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Text, case, func, null, or_, select, type_coerce

from service.database.tables import JobRow
from service.jobs import Event, JobState
from service.records import DraftedModel, DraftFilter, Job
from service.store import record_mapping
from service.store.probe_exclusion import not_a_probe
from service.store.transitions import Transitions

_NAMED: Final[ColumnElement[str | None]] = JobRow.draft[("model", "name")].as_string()
_TIMED: Final[ColumnElement[Any]] = JobRow.draft["timings_ms"]
_WITH_STANDING_DRAFT: Final = (JobState.DRAFTED.value, JobState.COMPLETED.value)


class History(Transitions):
    """Adds to a job's history without changing its state, and finds drafts."""

    @property
    def _own_name(self) -> ColumnElement[str | None]:
        """The model's name as a draft gives it; it may differ from its name in the settings."""
        return self._in_draft(_NAMED)

    def _in_draft(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a value in a draft; NULL for a draft that is invalid JSON.

        PostgreSQL stores no invalid JSON. SQLite does, and one invalid draft would fail the query.
        """
        if not self._is_sqlite:
            return value
        is_valid = func.json_valid(type_coerce(JobRow.draft, Text)) == 1
        return case((is_valid, value), else_=null())

    def note(self, job_id: str, action: Event, actor: str, reason: str) -> None:
        """Add a line to the job's history.

        Raises:
            NotFound: There is no such job.
        """
        with self._writing() as session:
            state = JobState(self._row(session, job_id).state)
            self._event(session, job_id, action, actor, (state, state), reason)

    def jobs_with_drafts(self, criteria: DraftFilter) -> list[Job]:
        """Return the jobs whose drafts match `criteria`, without the drafts, the oldest first."""
        chosen = (
            select(JobRow)
            .options(record_mapping.NO_DRAFT)
            .where(JobRow.draft.is_not(None), not_a_probe(JobRow.study_instance_uid))
        )
        if criteria.since is not None:
            chosen = chosen.where(JobRow.produced_at >= criteria.since)
        if criteria.study is not None:
            chosen = chosen.where(JobRow.study_instance_uid == criteria.study)
        if criteria.version is not None:
            chosen = chosen.where(JobRow.model_version == criteria.version)
        if criteria.models:
            named = JobRow.model_name.in_(criteria.models)
            chosen = chosen.where(or_(named, self._own_name.in_(criteria.models)))
        with self._reading() as session:
            found = session.scalars(chosen.order_by(JobRow.produced_at, JobRow.id))
            return record_mapping.jobs(found)

    def draft_timings(self, limit: int) -> list[dict[str, float]]:
        """Return the milliseconds of each stage of the latest drafts, the newest first.

        Args:
            limit: The number of drafts.
        """
        chosen = (
            select(self._in_draft(_TIMED))
            .where(
                JobRow.state.in_(_WITH_STANDING_DRAFT),
                JobRow.draft.is_not(None),
                not_a_probe(JobRow.study_instance_uid),
            )
            .order_by(JobRow.created_at.desc(), JobRow.id.desc())
            .limit(limit)
        )
        with self._reading() as session:
            return [_numbers(found) for found in session.scalars(chosen)]

    def drafted_models(self) -> list[DraftedModel]:
        """Return the models that have drafts, sorted by name and version."""
        which = (JobRow.model_name, self._own_name.label("own_name"), JobRow.model_version)
        chosen = (
            select(*which, func.count(), func.max(JobRow.produced_at))
            .where(JobRow.draft.is_not(None), not_a_probe(JobRow.study_instance_uid))
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


def _numbers(found: object) -> dict[str, float]:
    """Return the numbers in a JSON object by key; {} for any other value."""
    items = found.items() if isinstance(found, dict) else ()
    return {str(key): each for key, each in items if type(each) in {int, float}}
