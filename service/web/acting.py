"""What a person may do to a job, from the page and from the JSON API alike."""

from typing import Final

from service.errors import NotFound
from service.log import get_logger
from service.records import Job
from service.web.auth import ACTOR_SUFFIX
from service.web.wiring import Wiring

ACTIONS: Final = ("retry", "cancel", "urgent")
_REASON_LENGTH: Final = 200

log = get_logger(__name__)


def act(here: Wiring, job_id: str, action: str, *, reason: str = "", actor: str = "") -> Job:
    """Return the job after the action; the sweeper publishes it within its interval where needed.

    Args:
        here: The parts of this process.
        job_id: The job.
        action: One of `ACTIONS`.
        reason: Why, in the person's words; kept in the job's history.
        actor: Who, for the history; the person with the password when "".

    Raises:
        NotFound: There is no such job or action.
        IllegalTransition: The job's state does not allow it.
    """
    actor = actor or f"{here.settings.web.username} ({ACTOR_SUFFIX})"
    words = _cleaned(reason)
    if action == "cancel":
        job = here.store.cancel(job_id, actor, words)
    elif action == "retry":
        job = here.store.retry(job_id, actor)
    elif action == "urgent":
        job = here.store.make_urgent(job_id, actor)
    else:
        raise NotFound("There is no such action.")
    log.info("person_acted", action=action, job_id=job.id, state=job.state.value)
    return job


def _cleaned(reason: str) -> str:
    """Return one line without control characters, of a bounded length."""
    words = "".join(each if each.isprintable() else " " for each in reason)
    return " ".join(words.split())[:_REASON_LENGTH]
