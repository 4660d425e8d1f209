"""A film arrives: a row, and when its study is complete a job.

A study is complete when the association that brought a film which may be read is released. Where
only films came that cannot be read, or the association broke off or stays open, it is complete when
nothing came for the quiet time; the sweeper sees to that. Whether a film may be read is `triage`'s
first guess from its header: the reading decides, so nothing that is possible is left out here.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

from pydicom.dataset import Dataset

from dicom.attributes import items, value_of
from dicom.reasons import Reason
from dicom.scp.presentation_contexts import DOCUMENT_CLASSES
from dicom.selection.triage import Eligibility, Triage, triage
from dicom.spool.ingest import Received
from dicom.study import Instance
from service.errors import StoreError, StoreUnavailable
from service.log import get_logger
from service.queue.publishing import publish_jobs
from service.receiver.calling_aes import wanted_of
from service.records import Arrival, Film, Job, Wanted
from service.settings.config import Settings
from service.settings.sections import Caller
from service.store import Store

log = get_logger(__name__)

Outcome = Literal["released", "aborted", "broken"]
# Films that arrive meanwhile wait for the transaction in which the jobs are made.
_AT_ONCE: Final = 100
# Of the terms of Requested Procedure Priority (0040,1003): STAT, HIGH, ROUTINE, MEDIUM, LOW.
_URGENT_WORDS: Final = frozenset({"STAT", "HIGH"})


class Intake:
    """What the receiver tells the service; its methods may be called from many threads."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        publish: Callable[..., None],
        callers: Callable[[str], Caller | None] | None = None,
    ) -> None:
        """Take the store, the settings, what sends jobs' ids to the workers, and who may send.

        Args:
            store: Where films and jobs are kept.
            settings: Those in force.
            publish: Called with jobs, each an argument (`Queue.publish`).
            callers: Returns what is configured for a calling AE; without it, as in `settings`.
        """
        self._caller = callers or settings.caller
        self._store = store
        self._settings = settings
        self._publish = publish

    def instance_arrived(
        self, instance: Instance, header: Dataset, *, calling_ae: str, association_id: str
    ) -> Arrival:
        """Keep the film, committed when this returns.

        Args:
            instance: The film, durable in the spool.
            header: Its elements before the pixels.
            calling_ae: Who sent it.
            association_id: On which association; never used twice.

        Raises:
            StoreError: It was not kept: the sender must not hear Success.
        """
        film, verdict = self._film(instance, header, calling_ae, association_id)
        (arrival,) = self._keep([(film, verdict)])
        return arrival

    def instances_arrived(self, arrived: Sequence[Received]) -> list[Arrival]:
        """Keep films that came at the same time, all committed when this returns.

        Raises:
            StoreError: None was kept: their senders must not hear Success.
        """
        return self._keep(
            [
                self._film(
                    each.instance,
                    each.header,
                    each.association.calling_ae,
                    each.association.id,
                    file_is_new=each.file_is_new,
                )
                for each in arrived
            ]
        )

    def _film(
        self,
        instance: Instance,
        header: Dataset,
        calling_ae: str,
        association_id: str,
        *,
        file_is_new: bool = False,
    ) -> tuple[Film, Triage]:
        verdict = triage(header)
        caller = self._caller(calling_ae)
        quiet = caller.quiet_time if caller else None
        film = Film(
            instance=instance,
            calling_ae=calling_ae,
            association_id=association_id,
            eligible=verdict.eligibility is not Eligibility.EXCLUDED,
            quiet_seconds=self._settings.receiver.quiet_time if quiet is None else quiet,
            urgent=is_urgent(header) or (caller is not None and caller.priority == "urgent"),
            file_is_new=file_is_new,
            begins_job=self._begins_job(instance, verdict),
        )
        return film, verdict

    def _begins_job(self, instance: Instance, verdict: Triage) -> bool:
        """Return False for what an archive sends along with a study: documents and our own results.

        A class that the site has configured itself begins a job, which says why nothing is read.
        """
        configured = self._settings.receiver.storage_classes
        is_document = instance.sop_class_uid in set(DOCUMENT_CLASSES).difference(configured)
        return not is_document and verdict.reason is not Reason.OWN_RESULT

    def _keep(self, films: Sequence[tuple[Film, Triage]]) -> list[Arrival]:
        arrivals = self._store.add_instances([film for film, _ in films])
        for (film, verdict), arrival in zip(films, arrivals, strict=True):
            log.info(
                "film_arrived",
                arrival=arrival.value,
                study_uid=film.instance.study_instance_uid,
                sop_instance_uid=film.instance.sop_instance_uid,
                calling_ae=film.calling_ae,
                eligibility=verdict.eligibility.value,
                reason=verdict.reason,
            )
            if film.file_is_new and arrival is not Arrival.NEW:
                self._drop_second_copy(film.instance)
        return arrivals

    def _drop_second_copy(self, instance: Instance) -> None:
        """Remove a film's new file if its row has another, named after an earlier digest."""
        try:
            known = self._store.films_of(instance.sop_instance_uid)
            if known and all(each.path != instance.path for each in known):
                instance.path.unlink(missing_ok=True)
        except (StoreError, OSError) as error:
            # `wetread spool verify` finds it.
            log.warning("second_copy_not_removed", reason=type(error).__name__)

    def association_ended(self, association_id: str, outcome: Outcome) -> list[Job]:
        """Return the jobs that began with it, published; what fails here the sweeper makes good.

        After an abort the quiet time decides, because the sender will probably try again.
        """
        return self.associations_released([association_id]) if outcome == "released" else []

    def associations_released(self, association_ids: Sequence[str]) -> list[Job]:
        """Return the jobs that began with several associations, made and published together."""
        jobs: list[Job] = []
        try:
            complete = self._store.completed_by(association_ids)
            for start in range(0, len(complete), _AT_ONCE):
                jobs += self._schedule(complete[start : start + _AT_ONCE])
        except StoreUnavailable as error:
            log.warning("not_scheduled_yet", association_ids=association_ids, reason=str(error))
        return jobs

    def _schedule(self, complete: Sequence[tuple[str, str]]) -> list[Job]:
        jobs = self._store.schedule_all(
            [self._wanted(study_uid, calling_ae) for study_uid, calling_ae in complete],
            actor="intake",
            reason="The association that brought the film was released.",
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

    def _wanted(self, study_uid: str, calling_ae: str) -> Wanted:
        return wanted_of(self._settings, self._caller(calling_ae), study_uid, calling_ae)


def is_urgent(header: Dataset) -> bool:
    """Return whether the request says so, on its own or for one of its steps."""
    asked = [header, *items(header, "RequestAttributesSequence")]
    words = {_priority_of(each) for each in asked}
    return not words.isdisjoint(_URGENT_WORDS)


def _priority_of(request: Dataset) -> str:
    return str(value_of(request, "RequestedProcedurePriority") or "").strip().upper()
