"""Records received Instances, and schedules a job when their Study is complete.

A Study is complete when an association that brought an eligible Instance is released. If all its
Instances are ineligible, or the association broke off or stays open, the Study is complete once nothing
has arrived for the quiet time; the sweeper checks this. `triage` estimates from the header whether an
Instance is eligible. The worker makes the final selection, so `triage` excludes only what certainly
cannot be read.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

from pydicom.dataset import Dataset

from dicom.attributes import items, value_of
from dicom.reasons import Reason
from dicom.scp.presentation_contexts import DOCUMENT_CLASSES
from dicom.selection.triage import Eligibility, Triage, triage
from dicom.spool.ingest import IncomingAssociation, Received
from dicom.study import Instance
from service.errors import StoreError, StoreUnavailable
from service.log import get_logger
from service.queue.publishing import publish_jobs
from service.receiver.calling_aes import job_request
from service.records import Arrival, ArrivedInstance, Job, JobRequest
from service.settings.config import Settings
from service.settings.keys.sections import Caller
from service.store import Store

log = get_logger(__name__)

Outcome = Literal["released", "aborted", "broken"]
# Studies scheduled in one transaction: Instances that arrive meanwhile wait for its end.
_AT_ONCE: Final = 100
# Of the terms of Requested Procedure Priority (0040,1003): STAT, HIGH, ROUTINE, MEDIUM, LOW.
_URGENT_WORDS: Final = frozenset({"STAT", "HIGH"})


class Intake:
    """Records what the receiver has stored, and schedules jobs; thread-safe."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        publish: Callable[..., None],
        callers: Callable[[str], Caller | None] | None = None,
    ) -> None:
        """Take the store, the settings, the publisher of jobs, and the lookup of calling AEs.

        Args:
            store: Where Instances and jobs are recorded.
            settings: The settings in force.
            publish: Called with jobs, each one argument (`Queue.publish`).
            callers: Returns the settings of a calling AE; without it, those in `settings` apply.
        """
        self._caller = callers or settings.caller
        self._store = store
        self._settings = settings
        self._publish = publish

    def instance_arrived(
        self, instance: Instance, header: Dataset, *, calling_ae: str, association_id: str
    ) -> Arrival:
        """Record an Instance; its row is committed when this returns.

        Args:
            instance: The Instance, durable in the spool.
            header: Its elements before the pixel data.
            calling_ae: The AE title of the sender.
            association_id: The association that brought it; unique over all time.

        Raises:
            StoreError: It was not recorded: the sender must not receive Success.
        """
        association = IncomingAssociation(
            id=association_id, calling_ae=calling_ae, called_ae="", address=""
        )
        received = Received(instance=instance, header=header, association=association)
        return self.instances_arrived([received])[0]

    def instances_arrived(self, arrived: Sequence[Received]) -> list[Arrival]:
        """Record Instances that arrived together, in one transaction committed when this returns.

        Raises:
            StoreError: None was recorded: their senders must not receive Success.
        """
        return self._record([self._triaged(each) for each in arrived])

    def _triaged(self, received: Received) -> tuple[ArrivedInstance, Triage]:
        verdict = triage(received.header)
        association = received.association
        caller = self._caller(association.calling_ae)
        quiet = caller.quiet_time if caller else None
        is_urgent_caller = caller is not None and caller.priority == "urgent"
        arrived = ArrivedInstance(
            instance=received.instance,
            calling_ae=association.calling_ae,
            association_id=association.id,
            eligible=verdict.eligibility is not Eligibility.EXCLUDED,
            quiet_seconds=self._settings.receiver.quiet_time if quiet is None else quiet,
            urgent=is_urgent(received.header) or is_urgent_caller,
            file_is_new=received.file_is_new,
            begins_job=self._begins_job(received.instance, verdict),
        )
        return arrived, verdict

    def _begins_job(self, instance: Instance, verdict: Triage) -> bool:
        """Return False for documents and our own results, which an archive sends along with a Study.

        A document class in `receiver.storage_classes` does begin a job; its reason states why nothing is
        read.
        """
        configured = self._settings.receiver.storage_classes
        is_document = instance.sop_class_uid in set(DOCUMENT_CLASSES).difference(configured)
        return not is_document and verdict.reason is not Reason.OWN_RESULT

    def _record(self, batch: Sequence[tuple[ArrivedInstance, Triage]]) -> list[Arrival]:
        arrivals = self._store.add_instances([arrived for arrived, _ in batch])
        for (arrived, verdict), arrival in zip(batch, arrivals, strict=True):
            log.info(
                "instance_arrived",
                arrival=arrival.value,
                study_uid=arrived.instance.study_instance_uid,
                sop_instance_uid=arrived.instance.sop_instance_uid,
                calling_ae=arrived.calling_ae,
                eligibility=verdict.eligibility.value,
                reason=verdict.reason,
            )
            if arrived.file_is_new and arrival is not Arrival.NEW:
                self._drop_second_copy(arrived.instance)
        return arrivals

    def _drop_second_copy(self, instance: Instance) -> None:
        """Remove an Instance's new file if its row has another, named by an earlier digest algorithm."""
        try:
            known = self._store.instances_with_uid(instance.sop_instance_uid)
            if known and all(each.path != instance.path for each in known):
                instance.path.unlink(missing_ok=True)
        except (StoreError, OSError) as error:
            # `wetread spool verify` finds the copy.
            log.warning("duplicate_file_not_removed", reason=type(error).__name__)

    def association_ended(self, association_id: str, outcome: Outcome) -> list[Job]:
        """Return the published jobs of the Studies that an association completed; none after an abort.

        After an abort the Study waits for its quiet time, because the sender will probably try again.
        """
        return self.associations_released([association_id]) if outcome == "released" else []

    def associations_released(self, association_ids: Sequence[str]) -> list[Job]:
        """Return the jobs of the Studies that these associations completed, published.

        What the database or the broker does not accept now, the sweeper schedules or publishes later.
        """
        jobs: list[Job] = []
        try:
            complete = self._store.completed_by(association_ids)
            for start in range(0, len(complete), _AT_ONCE):
                jobs += self._schedule(complete[start : start + _AT_ONCE])
        except StoreUnavailable as error:
            log.warning("schedule_failed", association_ids=association_ids, reason=str(error))
        return jobs

    def _schedule(self, complete: Sequence[tuple[str, str]]) -> list[Job]:
        uids = [study_uid for study_uid, _ in complete]
        chosen = self._store.chosen_models(uids, self._settings.readings())
        jobs = self._store.schedule_all(
            [
                self._job_request(uid, calling_ae, chosen.get(uid, ""))
                for uid, calling_ae in complete
            ],
            actor="intake",
            reason="The association that sent the image was released.",
        )
        for job in jobs:
            log.info(
                "job_scheduled",
                job_id=job.id,
                study_uid=job.study_instance_uid,
                revision=job.revision,
            )
        if jobs:
            publish_jobs(self._store, self._publish, *jobs)
        return jobs

    def _job_request(self, study_uid: str, calling_ae: str, chosen: str) -> JobRequest:
        caller = self._caller(calling_ae)
        return job_request(self._settings, caller, study_uid, calling_ae, chosen=chosen)


def is_urgent(header: Dataset) -> bool:
    """Return whether Requested Procedure Priority is STAT or HIGH, in the header or a requested step."""
    asked = [header, *items(header, "RequestAttributesSequence")]
    priorities = {_priority_of(each) for each in asked}
    return not priorities.isdisjoint(_URGENT_WORDS)


def _priority_of(request: Dataset) -> str:
    return str(value_of(request, "RequestedProcedurePriority") or "").strip().upper()
