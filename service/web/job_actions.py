"""What a person may do to a job, from the page and from the JSON API alike."""

from dataclasses import dataclass
from typing import Final

from service.errors import NotFound
from service.log import get_logger
from service.maintenance.repeat_jobs import reread, resend
from service.records import Job
from service.web.access.auth import ACTOR_SUFFIX
from service.web.app_context import AppContext

ACTIONS: Final = ("retry", "cancel", "urgent", "resend", "reread")
_REASON_LENGTH: Final = 200

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a person may say beside the action.

    Attributes:
        reason: Why, in the person's words; kept in the job's history.
        destination: To which destination only results are sent again; all when "".
        model: Which model reads again; the same when "".
    """

    reason: str = ""
    destination: str = ""
    model: str = ""


def act(
    here: AppContext, job_id: str, action: str, details: Details | None = None, *, actor: str = ""
) -> Job:
    """Return the job after the action; the sweeper publishes it within its interval where needed.

    Args:
        here: The parts of this process.
        job_id: The job.
        action: One of `ACTIONS`.
        details: What else the person said.
        actor: Who, for the history; the person with the password when "".

    Returns:
        The job; after "reread" the new one.

    Raises:
        NotFound: There is no such job, action, destination or model.
        IllegalTransition: The job's state does not allow it.
    """
    actor = actor or person(here)
    said = details or Details()
    words = cleaned(said.reason)
    if action == "cancel":
        job = here.store.cancel(job_id, actor, words)
    elif action == "retry":
        job = here.store.retry(job_id, actor)
    elif action == "urgent":
        job = here.store.make_urgent(job_id, actor)
    elif action == "resend":
        to = said.destination
        job = resend(here.store, here.settings, job_id, to=to, actor=actor, reason=words)
    elif action == "reread":
        model = said.model
        job = reread(here.store, here.settings, job_id, model=model, actor=actor, reason=words)
    else:
        raise NotFound("There is no such action.")
    log.info("person_acted", action=action, job_id=job.id, state=job.state.value)
    return job


def person(here: AppContext) -> str:
    """Return the name under which what the person with the password does is recorded."""
    return f"{here.settings.web.username} ({ACTOR_SUFFIX})"


def cleaned(reason: str) -> str:
    """Return one line without control characters, of a bounded length."""
    words = "".join(each if each.isprintable() else " " for each in reason)
    return " ".join(words.split())[:_REASON_LENGTH]
