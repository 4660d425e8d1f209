"""The stages of a running end-to-end check: each examines how far the study is.

A stage returns the next one, or None while it waits. It raises CheckFailed if the check failed, and
DestinationUnavailable for what may pass within the time limit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from dicom.content.report import Observation, Presence
from dicom.destinations.destination import Destination
from dicom.errors import DestinationRejected, InvalidDataset
from service.errors import WetreadError
from service.jobs import DeliveryState, JobState
from service.records import Job, JobWithDraft, ResultObject
from service.records.probes import Probe, ProbeStage
from service.sentence import about, ended
from service.settings.config import Settings
from service.settings.destination_factory import encoded_object
from service.settings.keys.destinations import ALL_OBJECTS, includes_kind
from service.store import Store
from service.sweeper.probe_image import image_path, send_image, write_image

_STATED: Final = (Presence.PRESENT, Presence.UNCERTAIN)
_DRAFTED: Final = (JobState.DRAFTED, JobState.COMPLETED)


class CheckFailed(WetreadError):
    """The end-to-end check failed; the message is a sentence without a patient attribute."""


class ProbeSteps:
    """Advances a check by one stage."""

    def __init__(
        self, store: Store, settings: Settings, destinations: Mapping[str, Destination]
    ) -> None:
        """Take the store, the settings and the configured destinations by name."""
        self._store = store
        self._settings = settings
        self._destinations = destinations
        self._steps: Mapping[ProbeStage, Callable[[Probe], ProbeStage | None]] = {
            ProbeStage.SEND: self._send,
            ProbeStage.SCHEDULE: self._schedule,
            ProbeStage.READ: self._read,
            ProbeStage.DELIVER: self._deliver,
            ProbeStage.READ_BACK: self._read_back,
        }

    def step(self, probe: Probe) -> ProbeStage | None:
        """Return the next stage of a check, None while it waits; CLEAN: everything is as expected.

        Raises:
            CheckFailed: The check failed at its stage.
            DicomError, OSError: Something may pass: try again.
        """
        return self._steps[probe.stage](probe)

    def waits_for(self, probe: Probe) -> str:
        """Return a sentence on what a check waits for, "" if nothing more is known."""
        job = self.job(probe)
        if job is None:
            return ""
        waiting = [
            about(each.destination, ended(each.last_error))
            for each in self._store.deliveries(job.id)
            if each.state in (DeliveryState.PENDING, DeliveryState.SENDING) and each.last_error
        ]
        return " ".join(waiting) or ended(job.reason or job.last_error)

    def job(self, probe: Probe) -> Job | None:
        """Return the latest job of a check's study; None if there is none."""
        return next(iter(self._store.jobs(study=probe.study_instance_uid, limit=1)), None)

    def _send(self, probe: Probe) -> ProbeStage:
        if self._store.instances(probe.study_instance_uid):
            return ProbeStage.SCHEDULE  # it was sent before a restart
        if not probe.digest or not image_path(self._settings, probe).exists():
            sop_instance_uid, digest = write_image(self._settings, probe)
            self._store.set_probe_image(probe, sop_instance_uid, digest)
        try:
            send_image(self._settings, probe)
        except (DestinationRejected, InvalidDataset) as error:
            raise CheckFailed(ended(str(error))) from error
        return ProbeStage.SCHEDULE

    def _schedule(self, probe: Probe) -> ProbeStage | None:
        return ProbeStage.READ if self.job(probe) is not None else None

    def _read(self, probe: Probe) -> ProbeStage | None:
        job = self._job_with_draft(probe)
        if job.state in (JobState.SCHEDULED, JobState.IN_PROGRESS):
            return None
        if job.draft is None:
            reason = job.draft_fault or job.reason or job.last_error
            raise CheckFailed(f"The image was not drafted: {ended(reason)}")
        if missed := self._missed(job):
            raise CheckFailed(missed)
        return ProbeStage.DELIVER

    def _job_with_draft(self, probe: Probe) -> JobWithDraft:
        job = self.job(probe)
        if job is None:
            raise CheckFailed("Its job is no longer in the database.")
        return self._store.job(job.id)

    def _missed(self, job: JobWithDraft) -> str:
        """Return how the draft fails to state the finding of the image, or ""."""
        wanted = Observation(self._settings.probe.finding)
        if not self._settings.probe.require_finding or job.draft is None:
            return ""
        found = {each.observation: each.presence for each in job.draft.findings}
        presence = found.get(wanted)
        if presence in _STATED:
            return ""
        how = "denies" if presence is Presence.ABSENT else "does not state"
        return (
            f"The draft {how} the {wanted.value} in the synthetic image. Check the model with "
            "`wetread load-model`, or set probe.require_finding = false."
        )

    def _deliver(self, probe: Probe) -> ProbeStage | None:
        job = self._job_with_draft(probe)
        if job.state is JobState.DRAFTED:
            return None
        if job.state is not JobState.COMPLETED:
            raise CheckFailed(f"The results were not delivered: {ended(job.reason)}")
        return ProbeStage.READ_BACK

    def _read_back(self, probe: Probe) -> ProbeStage:
        job = self._job_with_draft(probe)
        objects = self._store.objects(job.id)
        for each in self._store.deliveries(job.id):
            destination = self._destinations.get(each.destination)
            if destination is None:
                raise CheckFailed(f"The destination {each.destination} is not configured.")
            if destination.reads_back:
                self._compare(destination, objects)
        return ProbeStage.CLEAN

    def _compare(self, destination: Destination, objects: Sequence[ResultObject]) -> None:
        kinds = {each.name: each.objects for each in self._settings.destinations}
        wanted = kinds.get(destination.name) or ALL_OBJECTS
        sent = [encoded_object(each) for each in objects if includes_kind(wanted, each.kind)]
        try:
            destination.verify(sent)
        except DestinationRejected as error:
            raise CheckFailed(ended(str(error))) from error
