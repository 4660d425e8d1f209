"""When a new draft is confirmed, the one that it supersedes may go from an archive of ours."""

from collections.abc import Mapping

from dicom.errors import DestinationError
from dicom.orthanc import OrthancDestination
from dicom.pacs import Destination
from service import config
from service.log import get_logger
from service.records import Delivery
from service.store import Store

log = get_logger(__name__)


def removers(
    settings: config.Settings, destinations: Mapping[str, Destination]
) -> dict[str, OrthancDestination]:
    """Return the destinations from which we may remove results of ours, by name."""
    allowed = {
        each.name
        for each in settings.destinations
        if isinstance(each, config.OrthancDestination) and each.may_remove
    }
    return {
        name: each
        for name, each in destinations.items()
        if name in allowed and isinstance(each, OrthancDestination)
    }


def remove_superseded(store: Store, archive: OrthancDestination, delivery: Delivery) -> None:
    """Remove from `archive` what the job of a confirmed delivery supersedes, and note it.

    What cannot be removed stays, and the history says so: the new draft names the old one, and both
    say which revision they are.

    Raises:
        StoreError: The database is away; nothing, or only the note, is missing.
    """
    earlier = store.job(delivery.job_id).supersedes
    if earlier is None:
        return
    uids = [item.sop_instance_uid for item in store.objects(earlier)]
    later = delivery.job_id[:8]
    try:
        count = archive.remove(uids)
        words = f"{archive.name}: {count} object(s) removed, superseded by job {later}."
        log.info("superseded_removed", job_id=earlier, destination=archive.name, count=count)
    except DestinationError as error:
        words = f"{archive.name}: superseded by job {later}, not removed: {error}"
        log.warning("superseded_not_removed", job_id=earlier, reason=str(error))
    store.note(earlier, "remove_superseded", "service", words)
