"""A job is committed; now a worker should hear of it, and the job is safe when none does."""

from collections.abc import Callable

from service.errors import BrokerUnavailable, StoreUnavailable
from service.log import get_logger
from service.records import Job
from service.store import Store

log = get_logger(__name__)


def tell(store: Store, publish: Callable[[Job], None], job: Job) -> bool:
    """Publish a committed job; return whether a worker will hear of it now, not later by the sweeper."""
    try:
        publish(job)
    except BrokerUnavailable as error:
        log.warning("not_published_yet", job_id=job.id, reason=str(error))
    else:
        return True
    try:
        store.unpublished(job.id)
    except StoreUnavailable as error:
        log.warning("not_marked", job_id=job.id, reason=str(error))
    return False
