"""Takes a job from its claim to DRAFTED: claim, read, write objects, record, publish deliveries."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from dicom.content.report import DraftReport, Predecessor
from dicom.selection.image_selection import Rules
from dicom.study import Study
from service.drift.withholding import is_chosen
from service.errors import (
    DraftingStopped,
    LeaseLost,
    NotFound,
    ReaderStopped,
    ReadingCanceled,
    ReadingHangs,
    StoreError,
    StoreUnavailable,
    TransientReadingError,
)
from service.jobs import LONGEST_WAIT, ReasonCode
from service.log import get_logger
from service.queue.publishing import publish_jobs
from service.receiver.calling_aes import destinations_for
from service.records import IncidentKind, Job, JobWithDraft
from service.review.draft_sentences import urgent_findings
from service.search.vector_file import VectorFiles
from service.settings.config import Settings
from service.settings.keys.sections import Caller
from service.store import Store
from workers.lease import Lease, retry_while_held
from workers.outbox import remove_unfinished, wants_sidecar, write_outputs, write_sidecar
from workers.reading.exclusive_attempt import ExclusiveAttempt
from workers.reading.image_selection import rules_for
from workers.reading.image_vector import keep_vector
from workers.reading.job_watch import JobWatch
from workers.reading.not_analysed_notice import notice, notice_destinations
from workers.reading.outcomes import Drafted, NotAnalysed, Unchanged
from workers.reading.quarantine import quarantine
from workers.reading.stop_notice import sends_notices, unread_by_stop
from workers.retry_policy import backoff, code, is_outage, may_pass, sentence, where

log = get_logger(__name__)

_FIRST_WAIT: Final = 2.0
# Long, because each attempt costs a whole reading before it finds the disk still full.
_OUTAGE_WAIT: Final = 10.0


class StudyReader(Protocol):
    """The methods of `workers.reading.reader.Reader` that are used here."""

    def read(
        self,
        study: Study,
        *,
        revision: int,
        predecessor: Predecessor | None,
        produced_at: datetime,
        already_read: Collection[str],
        urgent: bool,
        rules: Rules,
        canceled: Callable[[], bool],
    ) -> Drafted | NotAnalysed:
        """Return the draft of a study, or why there is none."""


class Drafting:
    """Runs the jobs of a reading worker; its methods may be called from several threads."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        reader: StudyReader,
        publish: Callable[[Job], None],
        owner: str,
        abandon: threading.Event,
        replace: Callable[[], None],
        callers: Callable[[str], Caller | None] | None = None,
    ) -> None:
        """Set up the work of one process.

        Args:
            store: The store.
            settings: The settings.
            reader: The reader with its loaded model.
            publish: Publishes a job to the delivery queue.
            owner: This worker's name in its leases.
            abandon: Set when the process must end now: held jobs are handed back.
            replace: Hands back held jobs and ends the process, so that another starts.
            callers: Returns the settings of a calling AE title; `settings.caller` when None.
        """
        self._callers = callers or settings.caller
        self._store = store
        self._settings = settings
        self._reader = reader
        self._publish = publish
        self._owner = owner
        self._abandon = abandon
        self._replace = replace
        self._turns = ExclusiveAttempt()
        self._vectors = VectorFiles(settings.data_dir)
        self._watch = JobWatch(store, owner, settings.reading.hang_seconds, self._hang)

    @property
    def in_hand(self) -> int:
        """Number of jobs that are being worked on."""
        return self._watch.followed

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Detect canceled and hanging jobs for the duration of the block."""
        with self._watch.kept():
            yield

    def claim(self, job_id: str) -> Job | None:
        """Claim the job and return it; None if it cannot be claimed or the database is unavailable."""
        try:
            return self._store.claim_reading(
                job_id,
                self._owner,
                self._settings.reading.lease_seconds,
                model=self._settings.model_name,
                while_stopped=self._gets_stop_notice(job_id),
            )
        except NotFound:
            return None
        except StoreUnavailable as error:
            log.warning("claim_failed", job_id=job_id, reason=str(error))
            return None

    def work(self, job: Job) -> None:
        """Read the job's study and store the result.

        Raises:
            ReadingError, DicomError, StoreError, OSError: It could not be read or stored.
            ReadingCanceled, LeaseLost: The job was canceled, or another worker holds it.
        """
        seconds = self._settings.reading.lease_seconds

        def extend() -> None:
            self._store.extend(job.id, job.fence, seconds)

        with Lease(extend, seconds).kept() as lease, self._watch.over(job, lease):
            previous = self._store.previous_draft(job.id)
            study = self._store.study(job.study_instance_uid, through=job.read_through)
            _open_each(study)
            result = self._stopped(job, previous) or self._read(job, study, previous, lease)
            ended = retry_while_held(lambda: self._keep(job, study, previous, result, lease), lease)
        log.info("job_read", job_id=job.id, state=ended.state.value, reason_code=ended.reason_code)

    def _gets_stop_notice(self, job_id: str) -> bool:
        """Return whether drafting is stopped and a destination is to get a notice of that."""
        if not sends_notices(self._settings):
            return False
        stop = self._store.drafting_stop()
        if stop is None:
            return False
        job, previous = self._store.job(job_id), self._store.previous_draft(job_id)
        return bool(self._noticed(job, previous, unread_by_stop(stop)))

    def _stopped(self, job: Job, previous: Job | None) -> NotAnalysed | None:
        """Return the result of a job while drafting is stopped; None if it may be read.

        Raises:
            DraftingStopped: No destination gets a notice: the job waits.
        """
        stop = self._store.drafting_stop()
        if stop is None:
            return None
        result = unread_by_stop(stop)
        if not self._noticed(job, previous, result):
            raise DraftingStopped(stop.sentence)
        return result

    def _noticed(self, job: Job, previous: Job | None, result: NotAnalysed) -> list[str]:
        """Return the destinations that get a notice that the study of a job was not read."""
        wanted = self._destinations(job)
        stands = None if previous is None or _withdrawn(previous) else previous
        names = notice_destinations(self._settings, result, stands)
        return [each for each in names if each in wanted]

    def _read(
        self, job: Job, study: Study, previous: JobWithDraft | None, lease: Lease
    ) -> Drafted | NotAnalysed:
        def canceled() -> bool:
            lease.progressed()
            return lease.lost or self._abandon.is_set()

        # A reading that crashes or hangs the process costs the jobs beside it an attempt too. The last
        # attempt runs alone, so that no job fails because of another.
        alone = 1 < job.attempts == self._settings.reading.max_attempts
        with self._turns.taken(alone=alone, given_up=canceled):
            return self._reader.read(
                study,
                revision=job.revision,
                predecessor=self._store.predecessor(previous) if previous else None,
                produced_at=job.produced_at or job.created_at,
                already_read=self._standing(job, previous, study),
                urgent=job.urgent,
                rules=rules_for(self._settings, self._callers(job.calling_ae)),
                canceled=canceled,
            )

    def _keep(
        self,
        job: Job,
        study: Study,
        previous: JobWithDraft | None,
        result: Drafted | NotAnalysed,
        lease: Lease,
    ) -> Job:
        remove_unfinished(self._folder(job).parent)
        if isinstance(result, Unchanged):
            return self._store.cancel_unchanged(job.id, job.fence, result.code, result.sentence)
        if isinstance(result, NotAnalysed):
            return self._keep_unread(job, study, previous, result)
        folder = self._folder(job)
        read = result.draft.source.sop_instance_uid
        images = [each.path for each in study.instances if each.sop_instance_uid == read]
        objects = write_outputs(folder, result.outputs, images)
        if wants_sidecar(self._settings):
            write_sidecar(folder, result.draft, result.outputs)
        if lease.lost:
            raise LeaseLost(f"job {job.id[:8]}: claim {job.fence} no longer holds it")
        names = self._destinations(job)
        if result.vector is not None:
            # Before the draft: if this process ends in between, the job is read again.
            keep_vector(
                self._store,
                self._vectors,
                result.vector,
                study_uid=study.study_instance_uid,
                image_uid=read,
            )
        until = self._withheld_until(job, result.draft)
        drafted = self._store.draft(
            job.id, job.fence, result.draft, objects, names, withheld_until=until
        )
        self._publish_jobs(drafted, names)
        return drafted

    def _withheld_until(self, job: Job, draft: DraftReport) -> datetime | None:
        """Return until when the draft is withheld to measure agreement; None for nearly all."""
        rules = self._settings.monitor
        # What a person asked for, or what cannot wait, is never withheld.
        if rules.withhold == 0 or job.urgent or job.forced or urgent_findings(draft):
            return None
        # The end-to-end check ends with the delivery of its draft.
        if self._settings.probe.enabled and job.calling_ae == self._settings.probe.ae_title:
            return None
        if not is_chosen(job.study_instance_uid, self._store.withholding_key(), rules.withhold):
            return None
        return self._store.now() + timedelta(hours=rules.withhold_hours)

    def _keep_unread(
        self, job: Job, study: Study, previous: Job | None, result: NotAnalysed
    ) -> Job:
        names = self._noticed(job, previous, result)
        produced_at = job.produced_at or job.created_at
        revision, settings = job.revision, self._settings
        outputs = notice(settings, study, result, revision, produced_at) if names else ()
        images = [image.path for image in study.instances]
        objects = write_outputs(self._folder(job), outputs, images) if outputs else ()
        ended = self._store.not_analysed(
            job.id,
            job.fence,
            result.code,
            result.sentence,
            notice=objects,
            destinations=names if objects else (),
        )
        self._publish_jobs(ended, names if objects else [])
        return ended

    def _standing(self, job: Job, previous: JobWithDraft | None, study: Study) -> frozenset[str]:
        """Return the SOP Instance UIDs that, if selected, would not change the earlier draft."""
        if job.forced or previous is None or previous.draft is None or _withdrawn(previous):
            return frozenset()
        if previous.is_withheld and job.urgent:
            return frozenset()  # its own draft is not withheld
        if previous.model_version != job.model_version:
            return frozenset()
        # The earlier draft must have gone, or be due, to every destination of this job.
        if set(self._destinations(job)) - set(self._destinations(previous)):
            return frozenset()
        read = previous.draft.source.sop_instance_uid
        if any(image.sop_instance_uid == read for image in study.instances):
            return frozenset({read})
        # The image read is no longer in the spool. The Instances that were not selected beside it do
        # not replace it.
        return frozenset({read, *(image.sop_instance_uid for image in previous.draft.not_read)})

    def _destinations(self, job: Job) -> list[str]:
        if job.destinations is None:
            return destinations_for(self._settings, self._callers(job.calling_ae))
        # Also one removed from the settings: its delivery reports that, no other one gets the result.
        return list(job.destinations)

    def _folder(self, job: Job) -> Path:
        # One folder for each claim: the worker of an expired claim may still write to its own.
        return (self._settings.outbox_dir / job.id / str(job.fence)).absolute()

    def _publish_jobs(self, job: Job, names: list[str]) -> None:
        # One message for each destination: a slow one does not delay the others. `all` stops at the
        # first that cannot be published; the sweeper publishes those later.
        all(publish_jobs(self._store, self._publish, job) for _ in names)

    def give_back(self, job: Job, error: Exception) -> None:
        """End the claim after `error`: SCHEDULED for another attempt, or FAILED.

        If the database cannot record that, the lease expires by itself.
        """
        # A process that ends (`abandon`) also raises ReadingCanceled; its jobs are handed back.
        canceled = isinstance(error, ReadingCanceled) and not self._abandon.is_set()
        if canceled or isinstance(error, LeaseLost):
            log.warning("lease_lost", job_id=job.id)
            return
        try:
            self._end(job, error)
        except StoreError as fault:
            log.warning("hand_back_failed", job_id=job.id, reason=str(fault))
        if isinstance(error, ReaderStopped):
            self._replace()

    def _hang(self, jobs: Sequence[Job]) -> None:
        """Hand back the jobs whose readings hang, record incidents, and replace the process."""
        seconds = self._settings.reading.hang_seconds
        reason = f"The reading made no progress for {seconds:g} s; its worker was replaced."
        for job in jobs:
            self.give_back(job, ReadingHangs(reason))
            try:
                self._store.record_incident(
                    actor=self._owner,
                    kind=IncidentKind.READING_HANGS,
                    subject=job.id,
                    detail=reason,
                )
            except StoreError as fault:
                log.warning("incident_not_recorded", job_id=job.id, reason=str(fault))
        self._replace()

    def _end(self, job: Job, error: Exception) -> None:
        if self._abandon.is_set():
            reason = "Its worker was stopped."
            self._store.hand_back(
                job.id, job.fence, ReasonCode.WORKER_STOPPED, reason, counted=False
            )
            return
        if isinstance(error, DraftingStopped):
            stopped = ReasonCode.DRAFTING_STOPPED
            self._store.hand_back(job.id, job.fence, stopped, str(error), counted=False)
            return
        quarantine(self._settings.outbox_dir.absolute() / job.id / "quarantine", error)
        reason = sentence(error)
        log.error(
            "reading_failed", job_id=job.id, error=code(error), reason=reason, at=where(error)
        )
        if is_outage(error):
            self._store.hand_back(
                job.id, job.fence, code(error), reason, _OUTAGE_WAIT, counted=False
            )
        elif may_pass(error) and job.attempts < self._settings.reading.max_attempts:
            delay = backoff(job.attempts, first=_FIRST_WAIT, longest=LONGEST_WAIT)
            self._store.hand_back(job.id, job.fence, code(error), reason, delay)
        else:
            self._store.fail(job.id, job.fence, code(error), reason)


def _open_each(study: Study) -> None:
    """Check that every Instance of the study can be opened in the spool.

    The selection treats a file that it cannot open as an unreadable image; on a machine without the
    spool, every study would get that permanent result.

    Raises:
        TransientReadingError: A file cannot be opened.
    """
    for instance in study.instances:
        try:
            instance.path.open("rb").close()
        except OSError as error:
            raise TransientReadingError(
                f"An image cannot be opened in the spool ({error.strerror}): is data_dir here, and the "
                "same as the receiver's?"
            ) from error


def _withdrawn(previous: Job) -> bool:
    return previous.reason_code == ReasonCode.RECALLED
