"""Jobs are committed; now workers should hear of them, and they are safe when none does."""

from collections.abc import Callable

from service.errors import BrokerUnavailable, StoreUnavailable
from service.log import get_logger
from service.records import Job
from service.store import Store

log = get_logger(__name__)


def publish_jobs(store: Store, publish: Callable[..., None], *jobs: Job) -> bool:
    """Publish committed jobs; return whether workers hear of them now, not later by the sweeper.

    Args:
        store: Where those that nobody could be told of are marked.
        publish: Called with the jobs, each an argument (`Queue.publish`).
        jobs: Those of one transaction.
    """
    try:
        publish(*jobs)
    except BrokerUnavailable as error:
        log.warning("not_published_yet", job_ids=[job.id for job in jobs], reason=str(error))
    else:
        return True
    try:
        store.unpublished(*(job.id for job in jobs))
    except StoreUnavailable as error:
        log.warning("not_marked", job_ids=[job.id for job in jobs], reason=str(error))
    return False
