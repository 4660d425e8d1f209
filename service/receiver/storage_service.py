"""The service behind the storage SCP: admits calling AEs, records Instances, promises commitment."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from dicom.error_boundary import error_boundary
from dicom.errors import DicomError, InternalError, OutOfResources, RateExceeded
from dicom.identifiers import check_ae_title
from dicom.scp.association_request import BLANK_TITLE
from dicom.scp.storage_handler import Outcome, Refusal
from dicom.scu.commitment_request import CommitmentRequest
from dicom.spool.incoming_file import out_of_resources
from dicom.spool.ingest import IncomingAssociation, Received
from service.errors import StoreError, StoreUnavailable
from service.log import get_logger
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.rate_limits import RateLimits
from service.receiver.release_queue import ReleaseQueue
from service.records import IncidentKind
from service.settings.config import Settings
from service.settings.keys.sections import Caller
from service.store import Store
from service.system.disk_space import DiskLevel, Watermark

# A misconfigured modality tries again every few seconds: record one incident an hour at most.
_INCIDENT_EVERY: Final = 3600.0
_REMEMBERED: Final = 1000
_NO_DATABASE: Final = "the database does not accept it now"

log = get_logger(__name__)


class StorageService:
    """Implements `dicom.scp.storage_handler.StorageHandler`; thread-safe."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        intake: Intake,
        commitments: Commitments,
        *,
        callers: Callable[[str], Caller | None] | None = None,
        ended: Callable[[IncomingAssociation], None] = lambda _: None,
    ) -> None:
        """Take the settings, the store, the intake and the commitments.

        `callers` returns the settings of a calling AE; without it, those in `settings` apply. `ended`
        is called with each association that has ended.
        """
        self._ended = ended
        self._caller = callers or settings.caller
        self._commitments = commitments
        self._limits = RateLimits(settings.run_dir / "rates")
        self._database_away = False
        self._disk = Watermark(settings)
        self._settings = settings
        self._store = store
        self._intake = intake
        self._releases = ReleaseQueue(intake)
        self._reported: dict[tuple[str, str, str], float] = {}
        self._lock = threading.Lock()

    def admit(self, association: IncomingAssociation) -> Refusal | None:
        """Return None if a peer may associate, else why not; a refusal is logged with its reason."""
        verdict = self._check_association(association)
        if verdict is None:
            return None
        refusal, reason = verdict
        log.warning(
            "association_refused",
            calling_ae=association.calling_ae,
            called_ae=association.called_ae,
            address=association.address,
            reason=reason,
        )
        if self._is_new_refusal(association, reason):
            self._report(association, reason)
        return refusal

    def unavailable(self, association: IncomingAssociation) -> DicomError | None:
        """Return why no Instance is accepted now (database, disk, rate limit), or None.

        Each time None is returned, one Instance counts against the calling AE's rate limit.
        """
        if refusal := self.refusal:
            return OutOfResources(refusal)
        caller = self._caller(association.calling_ae)
        limit = caller.films_per_minute if caller else None
        return self._rate_refusal(association.calling_ae, limit) if limit else None

    def _rate_refusal(self, calling_ae: str, limit: int) -> OutOfResources | None:
        try:
            within = self._limits.try_take(calling_ae, limit)
        except OSError as error:
            return out_of_resources(error)
        return None if within else RateExceeded(f"more than {limit} Instances per minute")

    @property
    def refusal(self) -> str:
        """Why no Instance of any sender is accepted now, as text, or ""; costs one `statvfs`."""
        if self._database_away:
            return _NO_DATABASE
        return "the spool's disk is nearly full" if self._disk.measure() is DiskLevel.FULL else ""

    @property
    def is_ready(self) -> bool:
        """Whether the database accepts Instances."""
        return not self._database_away

    def set_database_available(self, answers: bool) -> None:
        """Set whether Instances are accepted; if not, they are refused before they are written."""
        if answers == self._database_away:
            log.warning("receiver_ready" if answers else "receiver_not_ready", database=answers)
        self._database_away = not answers

    def record(self, arrived: Sequence[Received]) -> list[DicomError | None]:
        """Commit the rows of Instances that arrived together, in one transaction if possible.

        Returns:
            For each Instance None, OutOfResources if the database did not accept it, or InternalError
            if an error in this program prevented that.
        """
        if self._database_away:
            # Another thread has just met the fault: do not make these senders wait for a timeout too.
            return [OutOfResources(_NO_DATABASE) for _ in arrived]
        unforeseen: DicomError | None = InternalError("an error in this program: see its log")
        fault = error_boundary(
            partial(self._record, arrived),
            unforeseen,
            lambda: ", ".join(sorted({each.association.calling_ae for each in arrived})),
        )
        if fault is None:
            return [None for _ in arrived]
        if len(arrived) > 1 and not self._database_away:
            # Retry one by one to isolate the failing Instance.
            return [answer for each in arrived for answer in self.record([each])]
        return [fault for _ in arrived]

    def _record(self, arrived: Sequence[Received]) -> DicomError | None:
        try:
            self._intake.instances_arrived(arrived)
        except StoreError as error:
            log.error("instance_not_recorded", images=len(arrived), reason=str(error))
            # StoreUnavailable refuses all Instances until the main loop's probe succeeds.
            self.set_database_available(not isinstance(error, StoreUnavailable))
            return OutOfResources(_NO_DATABASE)
        return None

    def accept_commitment(
        self, request: CommitmentRequest, association: IncomingAssociation
    ) -> bool:
        """Record an owed report if the calling AE has a `commitment_port`.

        Returns:
            True if the report goes over an association that we request. False if it goes over the
            association of the request; it is then held in memory only, and a restart loses it.

        Raises:
            OutOfResources: The owed report cannot be recorded.
        """
        caller = self._caller(association.calling_ae)
        if caller is None or caller.commitment_port is None:
            return False
        self._commitments.promise(
            request,
            host=caller.host or association.address,
            port=caller.commitment_port,
            called=association.calling_ae,
        )
        return True

    def commitment_failures(self, request: CommitmentRequest) -> dict[str, int]:
        """Return the Failure Reason of each Instance that is not committed; the files are read now.

        Raises:
            OutOfResources: The database or the spool cannot be read now, so the answer is unknown.
        """
        return self._commitments.failures(request)

    def association_ended(self, association: IncomingAssociation, outcome: Outcome) -> None:
        """Schedule the Studies that a released association completed, soon and in another thread.

        After an abort the Study waits for its quiet time, because the sender will probably try again.
        """
        self._ended(association)
        if outcome == "released":
            self._releases.add(association.id)

    def close(self) -> None:
        """Return once the jobs of all released associations are scheduled."""
        self._releases.close()

    def _check_association(self, association: IncomingAssociation) -> tuple[Refusal, str] | None:
        ours = self._settings.receiver.ae_title
        if association.called_ae != ours:
            return Refusal.CALLED_AE_NOT_RECOGNIZED, f"the called AE title is not {ours}"
        try:
            caller = self._caller(check_ae_title(association.calling_ae))
        except DicomError:
            return Refusal.CALLING_AE_NOT_RECOGNIZED, "the calling AE title is not valid"
        if caller is None and association.calling_ae == BLANK_TITLE:
            return Refusal.CALLING_AE_NOT_RECOGNIZED, "the calling AE title is blank"
        if caller is None:
            return (
                Refusal.CALLING_AE_NOT_RECOGNIZED,
                "the calling AE title is not in receiver.callers",
            )
        if not caller.may_come_from(association.address):
            # The Standard has no reason for an address (PS3.8 table 9-21).
            addresses = " or ".join(caller.address or ())
            reason = f"receiver.callers allows it only from the address {addresses}"
            return Refusal.CALLING_AE_NOT_RECOGNIZED, reason
        return None

    def _is_new_refusal(self, association: IncomingAssociation, reason: str) -> bool:
        key = (association.calling_ae, association.address, reason)
        now = time.monotonic()
        with self._lock:
            last = self._reported.get(key)
            if last is not None and now - last < _INCIDENT_EVERY:
                return False
            if len(self._reported) >= _REMEMBERED:
                # A scan with many AE titles: more incidents would show nothing that the log does not.
                self._reported = {k: at for k, at in self._reported.items() if now - at < 60}
                if len(self._reported) >= _REMEMBERED:
                    return False
            self._reported[key] = now
            return True

    def _report(self, association: IncomingAssociation, reason: str) -> None:
        try:
            self._store.record_incident(
                actor="receive",
                kind=IncidentKind.REFUSED,
                subject=f"{association.calling_ae} at {association.address}",
                detail=f"An association was refused: {reason}.",
            )
        except StoreError as error:
            log.warning("incident_not_recorded", reason=str(error))
