"""Results once more, as a person asks for it: sent again, or read again, also by another model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from service.errors import NotFound, SelectionError
from service.jobs import IllegalTransition, JobState
from service.records import Job, Wanted
from service.settings.config import Settings
from service.store import Store
from service.store.repeats import Selection

# Which jobs a filter means when it names no state.
SENT: Final = (JobState.COMPLETED, JobState.FAILED)
READ: Final = (JobState.COMPLETED, JobState.FAILED, JobState.NOT_ANALYSED)
# As many jobs one call changes at most.
MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one job.

    Attributes:
        job_id: As it was asked for.
        job: The job that is on its way now; None when it was refused.
        refusal: Why it was refused, a sentence.
    """

    job_id: str
    job: Job | None = None
    refusal: str = ""


def resend(
    store: Store, settings: Settings, job_id: str, *, to: str = "", actor: str, reason: str = ""
) -> Job:
    """Return the job whose results are sent again.

    Args:
        store: The store.
        settings: The settings.
        job_id: The job, or the first letters of its id.
        to: Only to the destination of this name; to all of the job's when empty.
        actor: Who asks.
        reason: Why, for the job's history.

    Raises:
        NotFound: There is no such job or destination.
        IllegalTransition: The job has nothing to send.
    """
    known = [each.name for each in settings.destinations]
    if to and to not in known:
        raise NotFound(
            f"no destination is called {to}; configured are: {', '.join(known) or 'none'}"
        )
    return store.resend(store.job(job_id).id, actor, to=(to,) if to else (), reason=reason)


def reread(
    store: Store, settings: Settings, job_id: str, *, model: str = "", actor: str, reason: str = ""
) -> Job:
    """Return the new job that reads the study of `job_id` again.

    By the same model it is the next revision, whose draft supersedes the earlier one; another model's
    draft stands beside it. Results go where those of `job_id` went.

    Args:
        store: The store.
        settings: The settings.
        job_id: The job, or the first letters of its id.
        model: Name of a configured model; that of the job when empty.
        actor: Who asks.
        reason: Why, for the new job's history.

    Raises:
        NotFound: There is no such job or model.
        IllegalTransition: The images are not kept any more, or the study waits to be read already.
    """
    job, models = store.job(job_id), settings.readings()
    name = model or job.model_name
    if name not in models:
        raise NotFound(f"no model is called {name}; configured are: {', '.join(models)}")
    store.check_readable(job.study_instance_uid)
    wanted = Wanted(
        study_instance_uid=job.study_instance_uid,
        model=name,
        version=models[name].model_version,
        calling_ae=job.calling_ae,
        force=True,
        destinations=job.destinations,
    )
    words = f"Read again, as asked by {actor}. {reason}".rstrip()
    made = store.schedule_all([wanted], actor=actor, reason=words)
    if not made:
        raise IllegalTransition(f"this study waits already to be read by {name}")
    # The sweeper publishes it at its next look.
    store.unpublished(made[0].id)
    return made[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatOrder:
    """Results once more, for several jobs.

    Attributes:
        action: Which of the two.
        job_ids: These jobs.
        selection: Or those that match.
        to: To which destination only results are sent; to all of a job's when empty.
        model: Which model reads; that of each job when empty.
        actor: Who asks.
        reason: Why, for the jobs' history.
    """

    action: Literal["resend", "reread"]
    job_ids: Sequence[str] = ()
    selection: Selection = field(default_factory=Selection)
    to: str = ""
    model: str = ""
    actor: str
    reason: str = ""


def chosen(store: Store, order: RepeatOrder) -> list[str]:
    """Return the ids of the jobs that an order means: those that it names, or those that match.

    Raises:
        SelectionError: It names none and gives no condition, or more than `MOST` match.
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


def carried_out(
    store: Store, settings: Settings, order: RepeatOrder, job_ids: Iterable[str]
) -> Iterator[Result]:
    """Yield what becomes of each job; see `resend` and `reread`."""

    def one(job_id: str) -> Job:
        who, why = order.actor, order.reason
        if order.action == "resend":
            return resend(store, settings, job_id, to=order.to, actor=who, reason=why)
        return reread(store, settings, job_id, model=order.model, actor=who, reason=why)

    return each_of(job_ids, one)


def selection_of(said: Mapping[str, object]) -> Selection:
    """Return the selection that a person or program wrote.

    Args:
        said: `state` (a word or a list of them), `since`, `until` (ISO 8601; local time where no zone
            is given), `destination`, `study`, `model`; what is empty is no condition.

    Raises:
        SelectionError: A key or value is not one of these.
    """
    unknown = said.keys() - {"state", "since", "until", "destination", "study", "model"}
    if unknown:
        raise SelectionError(f"there is no condition {min(unknown)!a:.40}")
    words = {key: str(said.get(key) or "") for key in ("destination", "study", "model")}
    return Selection(
        states=_states(said.get("state")),
        since=_moment("since", said.get("since")),
        until=_moment("until", said.get("until")),
        **words,
    )


def _states(value: object) -> tuple[JobState, ...]:
    words = value if isinstance(value, list | tuple) else [value] if value else []
    try:
        return tuple(JobState(str(word).upper()) for word in words if word)
    except ValueError:
        raise SelectionError(f"state is one of {', '.join(JobState)}") from None


def _moment(key: str, value: object) -> datetime | None:
    if not value:
        return None
    try:
        return datetime.fromisoformat(str(value)).astimezone()
    except (ValueError, OverflowError):
        raise SelectionError(f"{key} is a time as 2026-03-01T14:00, not {value!a:.40}") from None


def each_of(job_ids: Iterable[str], do: Callable[[str], Job]) -> Iterator[Result]:
    """Yield what becomes of each job; one that is refused does not stop the others.

    Raises:
        StoreError: The database cannot be used.
    """
    for job_id in job_ids:
        try:
            yield Result(job_id=job_id, job=do(job_id))
        except (NotFound, IllegalTransition) as error:
            yield Result(job_id=job_id, refusal=str(error))
