"""Reads studies with a shadow model: compared with the draft that exists, never delivered.

A shadow reading changes no job: it has rows of its own, and results do not depend on how it ends. It
starts while the service is idle enough, and is abandoned when it no longer is.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from dicom.selection.image_selection import Rules
from dicom.study import Study
from service.errors import LeaseLost, ReaderStopped, ReadingCanceled, StoreError
from service.log import get_logger
from service.records.shadow import ShadowEnd, ShadowState, compare
from service.settings.config import Settings
from service.settings.keys.reading import Model
from service.settings.keys.sections import Caller
from service.store.shadow_readings import MAX_ATTEMPTS, ShadowClaim, ShadowLimits
from workers.lease import Lease, retry_while_held
from workers.reading.image_selection import rules_for
from workers.reading.outcomes import DraftedImage, NotAnalysed
from workers.retry_policy import code, is_outage, may_pass, sentence, where

log = get_logger(__name__)

_LOOK_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 30.0


class ShadowStore(Protocol):
    """The methods of `service.store.Store` that a shadow model may use.

    None of them changes a job or a delivery. The type keeps the others from being called here.
    """

    def study(self, study_uid: str, *, through: int | None = None) -> Study:
        """Return the study's readable Instances."""

    def shadow_must_end(self, limits: ShadowLimits) -> bool:
        """Return whether a running shadow reading must end."""

    def claim_shadow(
        self, model: str, version: str, owner: str, lease_seconds: float, limits: ShadowLimits
    ) -> ShadowClaim | None:
        """Claim the next reading of a shadow model."""

    def extend_shadow(self, claim: ShadowClaim, lease_seconds: float) -> None:
        """Extend the lease of a claim."""

    def end_shadow(self, claim: ShadowClaim, end: ShadowEnd) -> None:
        """Record how a reading ended."""

    def put_off_shadow(self, claim: ShadowClaim, delay: float) -> None:
        """Let any worker try again after a delay."""

    def abandon_shadow(self, claim: ShadowClaim) -> None:
        """Give up a claim without counting its attempt."""


class StudyDrafter(Protocol):
    """The method of `workers.reading.reader.Reader` that is used here."""

    def draft(
        self,
        study: Study,
        *,
        produced_at: datetime,
        rules: Rules | None,
        canceled: Callable[[], bool],
    ) -> DraftedImage | NotAnalysed:
        """Return the draft of a study without objects, or why there is none."""


class Shadowing:
    """Claims and runs the readings of one shadow model, one at a time."""

    def __init__(
        self,
        store: ShadowStore,
        settings: Settings,
        reader: StudyDrafter,
        owner: str,
        stopping: threading.Event,
        callers: Callable[[str], Caller | None] | None = None,
    ) -> None:
        """Set up the work of one process.

        Args:
            store: The methods of the store for shadow readings.
            settings: The settings with the shadow model's table as `reading`.
            reader: The reader with its loaded model.
            owner: This worker's name in its leases.
            stopping: Set when the process must end: the reading is abandoned.
            callers: Returns the settings of a calling AE title; `settings.caller` when None.

        Raises:
            TypeError: The table in `settings.reading` is not that of a further model.
        """
        if not isinstance(settings.reading, Model):
            raise TypeError("a shadow model has a table [[models]]")
        self._table = settings.reading
        self._settings = settings
        self._store = store
        self._reader = reader
        self._owner = owner
        self._stopping = stopping
        self._callers = callers or settings.caller
        self._limits = ShadowLimits(
            max_open_jobs=self._table.shadow_max_open_jobs,
            backlog=self._table.shadow_backlog,
            per_hour=self._table.shadow_per_hour,
        )

    def claim(self) -> ShadowClaim | None:
        """Return the next reading; None if there is none, or none may start now.

        Raises:
            StoreError: The database does not answer.
        """
        table = self._table
        return self._store.claim_shadow(
            table.name, table.model_version, self._owner, table.lease_seconds, self._limits
        )

    def work(self, claim: ShadowClaim) -> None:
        """Read the study of a claim and record the draft with its comparison.

        Raises:
            ReadingError, DicomError, StoreError, OSError: It could not be read or recorded.
            ReadingCanceled: Other work came first, or the process ends.
        """
        seconds = self._table.lease_seconds

        def extend() -> None:
            self._store.extend_shadow(claim, seconds)

        with Lease(extend, seconds).kept() as lease:
            end = self._read(claim, lease)
            retry_while_held(lambda: self._store.end_shadow(claim, end), lease)
        log.info("shadow_read", job_id=claim.job.id, model=self._table.name, state=end.state.value)

    def _read(self, claim: ShadowClaim, lease: Lease) -> ShadowEnd:
        job, begun = claim.job, time.monotonic()
        study = self._store.study(job.study_instance_uid, through=job.read_through)
        result = self._reader.draft(
            study,
            produced_at=claim.job.produced_at or claim.job.created_at,
            rules=rules_for(self._settings, self._callers(job.calling_ae)),
            canceled=_Yielding(self._store, self._limits, lease, self._stopping),
        )
        seconds = time.monotonic() - begun
        if isinstance(result, NotAnalysed):
            reason = f"{result.code}: {result.sentence}"
            return ShadowEnd(state=ShadowState.REFUSED, seconds=seconds, reason=reason)
        draft = result.draft
        return ShadowEnd(
            state=ShadowState.DRAFTED,
            seconds=seconds,
            draft=draft,
            prompt_sha256=hashlib.sha256(draft.model.prompt.encode()).hexdigest(),
            comparison=compare(job.draft, draft) if job.draft is not None else None,
        )

    def give_back(self, claim: ShadowClaim, error: Exception) -> None:
        """End the claim after `error`; if the database cannot record that, its lease expires."""
        if isinstance(error, LeaseLost):
            log.warning("shadow_lease_lost", job_id=claim.job.id)
            return
        try:
            self._end(claim, error)
        except StoreError as fault:
            log.warning("shadow_not_recorded", job_id=claim.job.id, reason=str(fault))

    def _end(self, claim: ShadowClaim, error: Exception) -> None:
        if isinstance(error, ReadingCanceled) or is_outage(error):
            self._store.abandon_shadow(claim)
            return
        words = sentence(error)
        log.warning(
            "shadow_failed", job_id=claim.job.id, error=code(error), reason=words, at=where(error)
        )
        if may_pass(error) and claim.attempt < MAX_ATTEMPTS:
            self._store.put_off_shadow(claim, _RETRY_SECONDS)
        else:
            end = ShadowEnd(state=ShadowState.FAILED, seconds=0.0, reason=f"{code(error)}: {words}")
            self._store.end_shadow(claim, end)

    @staticmethod
    def must_be_replaced(error: Exception | None) -> bool:
        """Return whether the model of this process can read nothing more after `error`."""
        return isinstance(error, ReaderStopped)


class _Yielding:
    """Finds whether a reading must end: jobs came, drafting or the process stops, the lease ended."""

    def __init__(
        self, store: ShadowStore, limits: ShadowLimits, lease: Lease, stopping: threading.Event
    ) -> None:
        self._store = store
        self._limits = limits
        self._lease = lease
        self._stopping = stopping
        self._looked = time.monotonic()
        self._busy = False

    def __call__(self) -> bool:
        """Return whether to end; asked at each token, so the database is asked twice a second."""
        self._lease.progressed()
        if self._lease.lost or self._stopping.is_set() or self._busy:
            return True
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._busy = self._is_busy()
        return self._busy

    def _is_busy(self) -> bool:
        try:
            return self._store.shadow_must_end(self._limits)
        except StoreError as error:
            log.debug("not_looked", reason=str(error))
            return True
