"""What lies in the second PACS in the end, and how often each object was sent to it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from service.jobs import FINAL, DeliveryState, IllegalTransition, JobState
from service.records import Delivery, Job
from service.repeating import resend
from torment.site import SECOND, Site
from torment.stored import Stored
from workers.delivering import MOST_SENDS

_ALL: Final = 100_000
# Of one object, over a whole run: a worker that is killed after it sent has noted nothing of it.
MOST_COPIES: Final = 2 * MOST_SENDS
_STUCK: Final = (DeliveryState.PENDING, DeliveryState.FAILED)


def sent_again(site: Site) -> Iterator[str]:
    """Send again what the second PACS did not list while it changed UIDs, as an administrator does.

    Yields:
        Ids of the jobs for which the service refuses that: a later revision stands in their place.
    """
    for job in site.store.jobs(limit=_ALL):
        if job.state is JobState.COMPLETED or not any(map(_is_stuck, _deliveries(site, job))):
            continue
        try:
            resend(site.store, site.settings, job.id, to=SECOND, actor="faults")
        except IllegalTransition:
            yield job.id


def _deliveries(site: Site, job: Job) -> list[Delivery]:
    return [each for each in site.store.deliveries(job.id) if each.destination == SECOND]


def _is_stuck(delivery: Delivery) -> bool:
    return delivery.unlisted >= MOST_SENDS and delivery.state in _STUCK


def differences(
    site: Site, jobs: Sequence[Job], in_pacs: Sequence[Stored], kept: Mapping[str, Stored]
) -> Iterator[str]:
    """Yield what the second PACS lacks, and what it has and should not have.

    Args:
        site: The site.
        jobs: All jobs.
        in_pacs: The objects in the first PACS.
        kept: Those that the second one stored under their own UID, by that.
    """
    made = {each.sop_instance_uid: job for job in jobs for each in site.store.objects(job.id)}
    for uid, job in made.items():
        if job.state is JobState.COMPLETED and uid not in kept:
            yield f"job {job.id}: COMPLETED, and its object {uid} not in the second PACS"
    content = {each.sop_instance_uid: each.content for each in in_pacs}
    for uid, each in kept.items():
        if uid not in made:
            yield f"object {uid}: in the second PACS, and of no job"
        elif content.get(uid, each.content) != each.content:
            yield f"object {uid}: not the same in both PACS"
    for each in site.second.others:
        yield f"object {each.sop_instance_uid}: sent to the second PACS with two contents"


def flooded(copies: Mapping[str, Sequence[Stored]], most: int) -> Iterator[str]:
    """Yield the objects of which an archive that changes UIDs has more copies than `most`."""
    for uid, found in copies.items():
        if len(found) > most:
            yield f"object {uid}: {len(found)} copies in an archive that changes UIDs"


def is_open(job: Job, excused: frozenset[str]) -> bool:
    """Return whether a job has not reached its end; one that is excused need not."""
    return job.state not in FINAL and job.id not in excused
