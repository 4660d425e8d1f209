"""Remove a superseded draft from an archive, where that is allowed, once the new one is confirmed."""

from collections.abc import Mapping
from pathlib import Path

from dicom.destinations.destination import Destination
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import DicomError
from service.jobs import DeliveryState, Event
from service.log import get_logger
from service.maintenance.notice_files import doubt_uids
from service.records import Delivery
from service.settings.config import Settings
from service.settings.keys import destinations as sections
from service.store import Store

log = get_logger(__name__)


def removers(
    settings: Settings, destinations: Mapping[str, Destination]
) -> dict[str, OrthancDestination]:
    """Return the Orthanc destinations with `may_remove`, by name."""
    allowed = {
        each.name
        for each in settings.destinations
        if isinstance(each, sections.OrthancDestination) and each.may_remove
    }
    return {
        name: each
        for name, each in destinations.items()
        if name in allowed and isinstance(each, OrthancDestination)
    }


def remove_superseded(
    store: Store, settings: Settings, archive: OrthancDestination, delivery: Delivery
) -> None:
    """Remove superseded results from `archive` after a confirmed delivery, and record it in the history.

    These are the results of the draft that the delivered one supersedes; or the delivered results
    themselves, if they or their notice of doubt arrived after the later draft.

    Objects that cannot be removed stay, and the history records it: the new draft references the old
    one, and both state their revision.

    Raises:
        StoreError: The database is unavailable; a removal may be missing, or only its record.
    """
    job = store.job(delivery.job_id)
    outbox = settings.outbox_dir
    if job.supersedes is not None and not delivery.notice:
        _remove(store, outbox, archive, earlier=job.supersedes, later=job.id)
    if job.superseded_by is not None and _is_there(store, archive.name, job.superseded_by):
        _remove(store, outbox, archive, earlier=job.id, later=job.superseded_by)


def _is_there(store: Store, destination: str, job_id: str) -> bool:
    return any(
        each.destination == destination and each.state is DeliveryState.CONFIRMED
        for each in store.deliveries(job_id)
    )


def _remove(
    store: Store, outbox: Path, archive: OrthancDestination, *, earlier: str, later: str
) -> None:
    uids = [item.sop_instance_uid for item in store.objects(earlier)]
    try:
        count = archive.remove([*uids, *doubt_uids(outbox, earlier)])
        text = f"{archive.name}: {count} object(s) removed, superseded by job {later[:8]}."
        log.info("superseded_removed", job_id=earlier, destination=archive.name, count=count)
    except (DicomError, OSError) as error:
        text = f"{archive.name}: superseded by job {later[:8]}, not removed: {error}"
        log.warning("superseded_not_removed", job_id=earlier, reason=str(error))
    store.note(earlier, Event.REMOVE_SUPERSEDED, "service", text)
