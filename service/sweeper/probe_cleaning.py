"""Removes all that an end-to-end check made: objects at destinations, files, then rows.

The rows go last, so that a crash before leaves a check that is cleaned again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from dicom.destinations.destination import Destination
from dicom.destinations.orthanc import OrthancDestination
from dicom.spool.spool import Spool
from service.errors import NotFound
from service.jobs import FINAL, IllegalTransition, JobState
from service.log import get_logger
from service.maintenance.retention import remove_image, remove_tree
from service.records import Job
from service.records.probes import Probe
from service.settings.config import Settings
from service.settings.keys import destinations as sections
from service.store import Store
from service.sweeper.probe_image import image_path

_ACTOR = "end-to-end check"
_SOON = 2.0
# A worker that reads notices within a second that its job was canceled; then it writes nothing more.
_WORKER_ENDS = 10.0

log = get_logger(__name__)


class ProbeCleaning:
    """Removes what one check made; it may be called again until nothing is left."""

    def __init__(
        self, store: Store, settings: Settings, destinations: Mapping[str, Destination]
    ) -> None:
        """Take the store, the settings and the configured destinations by name."""
        self._store = store
        self._settings = settings
        self._destinations = destinations
        self._may_remove = {
            each.name
            for each in settings.destinations
            if isinstance(each, sections.OrthancDestination) and each.may_remove
        }

    def clean(self, probe: Probe) -> None:
        """Remove the check's objects, files and rows; those of an open job later.

        Raises:
            DicomError: A destination did not remove the objects; try again later.
            OSError: A file cannot be removed; try again later.
        """
        if not self._store.is_probe(probe):
            self._forget(probe)
            return
        jobs = self._store.jobs(study=probe.study_instance_uid, limit=100)
        pause = self._cancel(jobs)
        if pause or self._store.is_probe_being_sent(probe):
            self._store.postpone_probe(probe, pause or _SOON)
            return
        left_at = [name for job in jobs for name in self._remove_objects(job)]
        self._remove_files(probe, jobs)
        self._forget(probe, sorted(set(left_at)))

    def _cancel(self, jobs: Sequence[Job]) -> float:
        """Cancel the jobs that are open; return for how many seconds a worker may still hold one."""
        pause = 0.0
        for job in jobs:
            if job.state not in FINAL:
                with suppress(IllegalTransition, NotFound):
                    self._store.cancel(job.id, _ACTOR, "The end-to-end check has ended.")
                pause = max(pause, _WORKER_ENDS if job.state is JobState.IN_PROGRESS else _SOON)
        self._store.cancel_probe_deliveries([job.id for job in jobs])
        return pause

    def _remove_objects(self, job: Job) -> Iterator[str]:
        """Remove the results of a job where that is permitted; yield the other destinations."""
        uids = [each.sop_instance_uid for each in self._store.objects(job.id)]
        for each in self._store.deliveries(job.id):
            if not each.fence:
                continue  # nothing was sent there
            destination = self._destinations.get(each.destination)
            if each.destination in self._may_remove and isinstance(destination, OrthancDestination):
                destination.remove(uids)
            else:
                yield each.destination

    def _remove_files(self, probe: Probe, jobs: Sequence[Job]) -> None:
        spool = Spool(self._settings.spool_dir)
        for image in self._store.spooled(probe.study_instance_uid):
            # The receiver holds this lock from the file to the row.
            with spool.uid_lock(image.sop_instance_uid):
                if self._store.is_probe(probe):
                    remove_image(image.path, spool.root.resolve())
        for job in jobs:
            remove_tree(self._settings.outbox_dir / job.id)
        image_path(self._settings, probe).unlink(missing_ok=True)

    def _forget(self, probe: Probe, left_at: Sequence[str] = ()) -> None:
        if not self._store.forget_probe(probe, left_at):
            image_path(self._settings, probe).unlink(missing_ok=True)
            log.warning("probe_study_kept", study_uid=probe.study_instance_uid)
