"""Repeats jobs on request: sends results again, or reads a Study again, also by another model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from service.audit import AuditEvent
from service.errors import NotFound, SelectionError
from service.jobs import IllegalTransition, JobState
from service.records import Job, JobRequest
from service.settings.config import Settings
from service.store import Store
from service.store.operator.repeats import Selection

# The states that a selection without states means.
SENT: Final = (JobState.COMPLETED, JobState.FAILED)
READ: Final = (JobState.COMPLETED, JobState.FAILED, JobState.NOT_ANALYSED)
# The most jobs that one call changes.
MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome for one job.

    Attributes:
        job_id: The id as requested.
        job: The job that is now scheduled or being delivered; None if the request was refused.
        refusal: Why it was refused, as text; "" if it was not.
    """

    job_id: str
    job: Job | None = None
    refusal: str = ""


def resend(
    store: Store,
    settings: Settings,
    job_id: str,
    *,
    to: str = "",
    actor: str,
    reason: str = "",
    audit: AuditEvent | None = None,
) -> Job:
    """Send the results of a job again; return the job.

    Args:
        store: The store.
        settings: The settings.
        job_id: The job's id, or its first letters.
        to: The name of the only destination to send to; "" for all of the job's.
        actor: Who requests it.
        reason: Why, for the job's history.
        audit: The record for the audit trail, in the same transaction.

    Raises:
        NotFound: There is no such job or destination.
        IllegalTransition: The job has no results to send.
    """
    known = [each.name for each in settings.destinations]
    if to and to not in known:
        raise NotFound(
            f"no destination is named {to}; configured are: {', '.join(known) or 'none'}"
        )
    known_id = store.job(job_id).id
    return store.resend(known_id, actor, to=(to,) if to else (), reason=reason, audit=audit)


def reread(
    store: Store,
    settings: Settings,
    job_id: str,
    *,
    model: str = "",
    actor: str,
    reason: str = "",
    audit: AuditEvent | None = None,
) -> Job:
    """Schedule a new job that reads the Study of `job_id` again; return the new job.

    With the same model, the new draft is the next revision and supersedes the earlier one. A draft of
    another model does not supersede it. Results go to the destinations of `job_id`.

    Args:
        store: The store.
        settings: The settings.
        job_id: The job's id, or its first letters.
        model: The name of a configured model; "" for the job's own.
        actor: Who requests it.
        reason: Why, for the new job's history.
        audit: The record for the audit trail, in the same transaction.

    Raises:
        NotFound: There is no such job or model.
        IllegalTransition: The images are removed, or the Study already waits to be read by the model.
    """
    job, models = store.job(job_id), settings.readings()
    name = model or job.model_name
    if name not in models:
        raise NotFound(f"no model is named {name}; configured are: {', '.join(models)}")
    store.check_readable(job.study_instance_uid)
    request = JobRequest(
        study_instance_uid=job.study_instance_uid,
        model=name,
        version=models[name].model_version,
        calling_ae=job.calling_ae,
        force=True,
        destinations=job.destinations,
    )
    sentence = f"Read again, as asked by {actor}. {reason}".rstrip()
    made = store.schedule_all([request], actor=actor, reason=sentence, audit=audit)
    if not made:
        raise IllegalTransition(f"this study waits already to be read by {name}")
    # Not published here: marked so that the sweeper publishes it on its next round.
    store.mark_unpublished(made[0].id)
    return made[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatOrder:
    """A request to repeat several jobs.

    Attributes:
        action: `resend` or `reread`, see the functions of these names.
        job_ids: The jobs, by id.
        selection: The jobs, by condition; used if `job_ids` is empty.
        to: The name of the only destination to send to; "" for all of a job's.
        model: The name of the model that reads; "" for each job's own.
        actor: Who requests it.
        reason: Why, for the jobs' history.
        audit: The record of each job for the audit trail, in the transaction of its change.
    """

    action: Literal["resend", "reread"]
    job_ids: Sequence[str] = ()
    selection: Selection = field(default_factory=Selection)
    to: str = ""
    model: str = ""
    actor: str
    reason: str = ""
    audit: AuditEvent | None = None


def chosen(store: Store, order: RepeatOrder) -> list[str]:
    """Return the ids of the jobs that an order names, or of those that match its selection.

    Raises:
        SelectionError: The order names no job and has no condition, or more than `MOST` jobs match.
        StoreError: The database cannot be used.
    """
    if order.job_ids:
        return list(order.job_ids)
    if order.selection.is_empty:
        raise SelectionError("name jobs, or give a condition: state, since, until, destination, …")
    states = order.selection.states or (SENT if order.action == "resend" else READ)
    found = store.matching(replace(order.selection, states=states), limit=MOST + 1)
    if len(found) > MOST:
        raise SelectionError(f"more than {MOST} jobs match: give a narrower condition")
    return [job.id for job in found]


def run_order(
    store: Store, settings: Settings, order: RepeatOrder, job_ids: Iterable[str]
) -> Iterator[Result]:
    """Resend or reread each job and yield its outcome; see `resend` and `reread`."""

    def one(job_id: str) -> Job:
        who, why, audit = order.actor, order.reason, order.audit
        if order.action == "resend":
            return resend(store, settings, job_id, to=order.to, actor=who, reason=why, audit=audit)
        return reread(
            store, settings, job_id, model=order.model, actor=who, reason=why, audit=audit
        )

    return run_for_each(job_ids, one)


def parse_selection(conditions: Mapping[str, object]) -> Selection:
    """Parse a selection from a command, a form or an API request.

    Args:
        conditions: `state` (one or a list), `since`, `until` (ISO 8601; local time if no zone is given),
            `destination`, `study`, `model`; an empty value is no condition.

    Raises:
        SelectionError: A key is unknown or a value is invalid.
    """
    unknown = conditions.keys() - {"state", "since", "until", "destination", "study", "model"}
    if unknown:
        raise SelectionError(f"there is no condition {min(unknown)!a:.40}")
    _check_types(conditions)
    texts = {key: str(conditions.get(key) or "") for key in ("destination", "study", "model")}
    return Selection(
        states=_states(conditions.get("state")),
        since=_moment("since", conditions.get("since")),
        until=_moment("until", conditions.get("until")),
        **texts,
    )


def _check_types(conditions: Mapping[str, object]) -> None:
    """Refuse 0, false, {} and the like: as "no condition" they would select all jobs."""
    for key, value in conditions.items():
        values = value if key == "state" and isinstance(value, list | tuple) else [value]
        if not all(each is None or isinstance(each, str) for each in values):
            kind = "a state or a list of states" if key == "state" else "a text"
            raise SelectionError(f"the condition {key} is {kind}")


def _states(value: object) -> tuple[JobState, ...]:
    names = value if isinstance(value, list | tuple) else [value] if value else []
    try:
        return tuple(JobState(str(word).upper()) for word in names)
    except ValueError:
        raise SelectionError(f"state is one of {', '.join(JobState)}") from None


def _moment(key: str, value: object) -> datetime | None:
    if not value:
        return None
    try:
        return datetime.fromisoformat(str(value)).astimezone()
    except (ValueError, OverflowError):
        raise SelectionError(f"{key} is a time as 2026-03-01T14:00, not {value!a:.40}") from None


def run_for_each(job_ids: Iterable[str], do: Callable[[str], Job]) -> Iterator[Result]:
    """Apply `do` to each job and yield its outcome; a refused job does not stop the others.

    Raises:
        StoreError: The database cannot be used.
    """
    for job_id in job_ids:
        try:
            yield Result(job_id=job_id, job=do(job_id))
        except (NotFound, IllegalTransition) as error:
            yield Result(job_id=job_id, refusal=str(error))
