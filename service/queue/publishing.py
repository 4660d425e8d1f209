"""Publishes committed jobs; if the broker fails, they are marked for the sweeper."""

from collections.abc import Callable

from service.errors import BrokerUnavailable, StoreUnavailable
from service.log import get_logger
from service.records import Job
from service.store import Store

log = get_logger(__name__)


def publish_jobs(store: Store, publish: Callable[..., None], *jobs: Job) -> bool:
    """Publish committed jobs; return False if the sweeper has to publish them later.

    Args:
        store: Where jobs that could not be published are marked.
        publish: Called with the jobs, each one argument (`Queue.publish`).
        jobs: The jobs of one transaction.
    """
    try:
        publish(*jobs)
    except BrokerUnavailable as error:
        log.warning("publish_failed", job_ids=[job.id for job in jobs], reason=str(error))
    else:
        return True
    try:
        store.mark_unpublished(*(job.id for job in jobs))
    except StoreUnavailable as error:
        # Not lost: the sweeper publishes unclaimed jobs again after `sweep.republish_seconds`.
        log.warning("unpublished_not_recorded", job_ids=[job.id for job in jobs], reason=str(error))
    return False
