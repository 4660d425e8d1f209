"""One job from its claim to DRAFTED: claim, read, write the objects, say so, tell the deliverers."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from dicom.content.report import Predecessor
from dicom.selection.image_selection import Rules
from dicom.study import Study
from service.errors import (
    LeaseLost,
    ReaderStopped,
    ReadingCancelled,
    ReadingHangs,
    StoreError,
    StoreUnavailable,
    TransientReadingError,
)
from service.jobs import LONGEST_WAIT, RECALLED
from service.log import get_logger
from service.queue.publishing import publish_jobs
from service.receiver.calling_aes import destinations_for
from service.records import Job
from service.settings.config import Settings
from service.settings.sections import Caller
from service.store import Store
from workers.lease import Lease, insist
from workers.outbox import remove_unfinished, wants_sidecar, write_outputs, write_sidecar
from workers.reading.caller_rules import rules_for
from workers.reading.exclusive_attempt import ExclusiveAttempt
from workers.reading.job_watch import JobWatch
from workers.reading.not_analysed_notice import notice, told_to
from workers.reading.quarantine import quarantine
from workers.reading.reader import Drafted, NotAnalysed, Unchanged
from workers.retry_policy import backoff, code, is_outage, may_pass, sentence, where

log = get_logger(__name__)

_FIRST_WAIT: Final = 2.0
# It costs a whole reading to find out that the disk is still full.
_OUTAGE_WAIT: Final = 10.0


class StudyReader(Protocol):
    """What reads a study: `workers.reading.reader.Reader`."""

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
        cancelled: Callable[[], bool],
    ) -> Drafted | NotAnalysed:
        """Return the draft of a study, or why there is none."""


class Drafting:
    """The reading worker's work; its methods may be called from several threads."""

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
        """Take what it works with.

        Args:
            store: The store.
            settings: The settings.
            reader: The loaded model.
            publish: Sends the id of a drafted job to the deliverers.
            owner: This worker's name on the leases.
            abandon: Set when the process must end now: what is held goes back.
            replace: Ends the process, for another to take its place; what is held goes back.
            callers: What is configured for a calling AE title; as in `settings` when None.
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
        self._watch = JobWatch(store, owner, settings.reading.hang_seconds, self._hang)

    @property
    def in_hand(self) -> int:
        """How many jobs are in work."""
        return self._watch.followed

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice for the length of the block what is canceled, and what hangs."""
        with self._watch.kept():
            yield

    def claim(self, job_id: str) -> Job | None:
        """Return the job, ours now, or None when there is nothing to do, or no database to ask."""
        try:
            return self._store.claim_reading(
                job_id,
                self._owner,
                self._settings.reading.lease_seconds,
                model=self._settings.model_name,
            )
        except StoreUnavailable as error:
            log.warning("not_claimed", job_id=job_id, reason=str(error))
            return None

    def work(self, job: Job) -> None:
        """Read the job's study and keep the result; stop quietly when somebody else holds the job.

        Raises:
            ReadingError, DicomError, StoreError, OSError: It could not be read or kept.
        """
        seconds = self._settings.reading.lease_seconds

        def extend() -> None:
            self._store.extend(job.id, job.fence, seconds)

        with Lease(extend, seconds).kept() as lease, self._watch.over(job, lease):
            previous = self._store.previous_draft(job.id)
            study = self._store.study(job.study_instance_uid, through=job.read_through)
            _open_each(study)
            result = self._read(job, study, previous, lease)
            ended = insist(lambda: self._keep(job, study, previous, result, lease), lease)
        log.info("job_read", job_id=job.id, state=ended.state.value, reason_code=ended.reason_code)

    def _read(
        self, job: Job, study: Study, previous: Job | None, lease: Lease
    ) -> Drafted | NotAnalysed:
        def cancelled() -> bool:
            lease.moved()
            return lease.lost or self._abandon.is_set()

        # What ends or hangs a worker takes others with it: of their last try that must not be said.
        alone = 1 < job.attempts == self._settings.reading.max_attempts
        with self._turns.taken(alone=alone, given_up=cancelled):
            return self._reader.read(
                study,
                revision=job.revision,
                predecessor=self._store.predecessor(previous) if previous else None,
                produced_at=job.produced_at or job.created_at,
                already_read=self._standing(job, previous, study),
                urgent=job.urgent,
                rules=rules_for(self._settings, self._callers(job.calling_ae)),
                cancelled=cancelled,
            )

    def _keep(
        self,
        job: Job,
        study: Study,
        previous: Job | None,
        result: Drafted | NotAnalysed,
        lease: Lease,
    ) -> Job:
        remove_unfinished(self._folder(job).parent)
        if isinstance(result, Unchanged):
            return self._store.needless(job.id, job.fence, result.code, result.sentence)
        if isinstance(result, NotAnalysed):
            return self._keep_unread(job, study, previous, result)
        folder = self._folder(job)
        read = result.draft.source.sop_instance_uid
        films = [each.path for each in study.instances if each.sop_instance_uid == read]
        objects = write_outputs(folder, result.outputs, films)
        if wants_sidecar(self._settings):
            write_sidecar(folder, result.draft, result.outputs)
        if lease.lost:
            raise LeaseLost(f"job {job.id[:8]}: claim {job.fence} holds it no longer")
        names = self._destinations(job)
        drafted = self._store.draft(job.id, job.fence, result.draft, objects, names)
        self._tell(drafted, names)
        return drafted

    def _keep_unread(
        self, job: Job, study: Study, previous: Job | None, result: NotAnalysed
    ) -> Job:
        wanted = self._destinations(job)
        stands = None if previous is None or _withdrawn(previous) else previous
        names = [each for each in told_to(self._settings, result, stands) if each in wanted]
        produced_at = job.produced_at or job.created_at
        revision, settings = job.revision, self._settings
        outputs = notice(settings, study, result, revision, produced_at) if names else ()
        films = [film.path for film in study.instances]
        objects = write_outputs(self._folder(job), outputs, films) if outputs else ()
        ended = self._store.not_analysed(
            job.id,
            job.fence,
            result.code,
            result.sentence,
            notice=objects,
            destinations=names if objects else (),
        )
        self._tell(ended, names if objects else [])
        return ended

    def _standing(self, job: Job, previous: Job | None, study: Study) -> frozenset[str]:
        """Return the films, none if so, of which none would change the earlier draft, which stands."""
        if job.forced or previous is None or previous.draft is None or _withdrawn(previous):
            return frozenset()
        if previous.model_version != job.model_version:
            return frozenset()
        # It has to be, or to come, wherever this one is asked for.
        if set(self._destinations(job)) - set(self._destinations(previous)):
            return frozenset()
        read = previous.draft.source.sop_instance_uid
        if any(film.sop_instance_uid == read for film in study.instances):
            return frozenset({read})
        # It was removed from the spool: what came again of its study was no match for it.
        return frozenset({read, *(film.sop_instance_uid for film in previous.draft.not_read)})

    def _destinations(self, job: Job) -> list[str]:
        if job.destinations is None:
            return destinations_for(self._settings, self._callers(job.calling_ae))
        # Also one that the settings do not name any more: its delivery says so, and nobody else gets it.
        return list(job.destinations)

    def _folder(self, job: Job) -> Path:
        # One for each claim: a worker that was thought dead may still be writing into its own.
        return (self._settings.outbox_dir / job.id / str(job.fence)).absolute()

    def _tell(self, job: Job, names: list[str]) -> None:
        # One message for each destination: a slow one does not hold up the others.
        all(publish_jobs(self._store, self._publish, job) for _ in names)

    def give_back(self, job: Job, error: Exception) -> None:
        """End the claim after `error`: to be tried again, or FAILED.

        If not even that can be written, the lease ends by itself.
        """
        canceled = isinstance(error, ReadingCancelled) and not self._abandon.is_set()
        if canceled or isinstance(error, LeaseLost):
            log.warning("lease_lost", job_id=job.id)
            return
        try:
            self._end(job, error)
        except StoreError as fault:
            log.warning("not_given_back", job_id=job.id, reason=str(fault))
        if isinstance(error, ReaderStopped):
            self._replace()

    def _hang(self, jobs: Sequence[Job]) -> None:
        """Give back the jobs whose readings hang, with an incident, and have the process replaced."""
        seconds = self._settings.reading.hang_seconds
        words = f"The reading made no step for {seconds:g} s; its worker was replaced."
        for job in jobs:
            self.give_back(job, ReadingHangs(words))
            try:
                self._store.record_incident(
                    actor=self._owner, kind="reading_hangs", subject=job.id, detail=words
                )
            except StoreError as fault:
                log.warning("incident_not_recorded", job_id=job.id, reason=str(fault))
        self._replace()

    def _end(self, job: Job, error: Exception) -> None:
        if self._abandon.is_set():
            words = "Its worker was stopped."
            self._store.hand_back(job.id, job.fence, "WORKER_STOPPED", words, counted=False)
            return
        quarantine(self._settings.outbox_dir.absolute() / job.id / "quarantine", error)
        words = sentence(error)
        log.error("reading_failed", job_id=job.id, error=code(error), reason=words, at=where(error))
        if is_outage(error):
            self._store.hand_back(
                job.id, job.fence, code(error), words, _OUTAGE_WAIT, counted=False
            )
        elif may_pass(error) and job.attempts < self._settings.reading.max_attempts:
            delay = backoff(job.attempts, first=_FIRST_WAIT, longest=LONGEST_WAIT)
            self._store.hand_back(job.id, job.fence, code(error), words, delay)
        else:
            self._store.fail(job.id, job.fence, code(error), words)


def _open_each(study: Study) -> None:
    """Return when every film of the study can be opened here.

    The selection takes a film that it cannot open for an unreadable one; on a machine without the
    spool that would be said of every study, for good.

    Raises:
        TransientReadingError: A film is not here.
    """
    for instance in study.instances:
        try:
            instance.path.open("rb").close()
        except OSError as error:
            raise TransientReadingError(
                f"A film cannot be opened in the spool ({error.strerror}): is data_dir here, and the "
                "same as the receiver's?"
            ) from error


def _withdrawn(previous: Job) -> bool:
    return previous.reason_code == RECALLED
