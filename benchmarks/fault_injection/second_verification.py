"""The objects in the second PACS at the end, and how often each was sent to it."""

from collections.abc import Iterator, Mapping, Sequence

from fault_injection.site import Site
from fault_injection.stored import Stored
from service.jobs import JobState
from service.records import Job


def differences(
    site: Site, jobs: Sequence[Job], in_pacs: Sequence[Stored], kept: Mapping[str, Stored]
) -> Iterator[str]:
    """Yield the objects that the second PACS lacks, and those that it should not have.

    Args:
        site: The site.
        jobs: All jobs.
        in_pacs: The objects in the first PACS.
        kept: The objects that the second one stored under their own UID, by UID.
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
