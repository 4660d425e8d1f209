"""Notes in a job's history, and queries for drafts by model, version and time."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    JSON,
    ColumnElement,
    Text,
    case,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
)

from service.database.tables import JobRow
from service.jobs import Event, JobState
from service.records import DraftedModel, DraftFilter, Job
from service.store import record_mapping
from service.store.probe_exclusion import not_a_probe
from service.store.transitions import Transitions

# Escapes of NUL and of half a surrogate pair: PostgreSQL extracts nothing from JSON that has one.
_UNREADABLE: Final = r"'\\u0000|\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]..'"
_WITH_STANDING_DRAFT: Final = (JobState.DRAFTED.value, JobState.COMPLETED.value)


class History(Transitions):
    """Adds to a job's history without changing its state, and finds drafts."""

    @property
    def _own_name(self) -> ColumnElement[str | None]:
        """The model's name as a draft gives it; it may differ from its name in the settings."""
        return self._in_draft(lambda draft: draft[("model", "name")].as_string())

    def _in_draft(self, value_in: Callable[[Any], ColumnElement[Any]]) -> ColumnElement[Any]:
        """Return a value in a draft, which `value_in` takes from a JSON column.

        SQLite stores invalid JSON, and one such draft would fail the query: the value is NULL then.
        PostgreSQL stores none, but fails where it reads an escape that no text of it can hold.
        """
        if not self._is_sqlite:
            return value_in(_readable_draft())
        is_valid = func.json_valid(type_coerce(JobRow.draft, Text)) == 1
        return case((is_valid, value_in(JobRow.draft)), else_=null())

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
            select(self._in_draft(lambda draft: draft["timings_ms"]))
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


def _readable_draft() -> ColumnElement[Any]:
    """Return PostgreSQL's expression for a draft in which unreadable escapes are replaced."""
    # Constants, no parameters: a query with GROUP BY must repeat the same expression.
    draft = cast(JobRow.draft, Text)
    nul, surrogate, pattern, replacement, flags = (
        literal_column(each, Text)
        for each in (r"'%\\u0000%'", r"'%\\ud%'", _UNREADABLE, r"'\\ufffd'", "'g'")
    )
    # The pattern is slow, and few drafts have such an escape.
    may_have = or_(draft.like(nul), draft.like(surrogate))
    replaced = func.regexp_replace(draft, pattern, replacement, flags, type_=Text)
    return cast(case((may_have, replaced), else_=draft), JSON)


def _numbers(found: object) -> dict[str, float]:
    """Return the numbers in a JSON object by key; {} for any other value."""
    items = found.items() if isinstance(found, dict) else ()
    return {str(key): each for key, each in items if type(each) in {int, float}}
