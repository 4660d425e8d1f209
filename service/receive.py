"""`wetread receive`: who may send, and what happens with a film that is durable in the spool."""

import errno
import ipaddress
import os
import resource
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from dicom.commitment import CommitmentRequest
from dicom.errors import DicomError, OutOfResources
from dicom.identifiers import check_ae_title
from dicom.keeping import IncomingAssociation, Received
from dicom.scp import Outcome, Refusal, ScpSettings, StorageSCP
from dicom.spool import Spool
from dicom.tls import TlsFiles
from service.callers import Callers, RateLimits
from service.commitment import Commitments
from service.config import Settings, config_path, load_settings, restarts
from service.errors import ConfigurationError, StoreError, StoreUnavailable
from service.intake import Intake
from service.log import get_logger
from service.queue import Queue
from service.sections import Caller
from service.store import Store

BEAT_EVERY: Final = 5.0
_LOOK_EVERY: Final = 0.5
_SWITCH_SECONDS: Final = 0.001
# A modality that is set up wrongly tries again every few seconds: one incident an hour says enough.
_INCIDENT_EVERY: Final = 3600.0
_REMEMBERED: Final = 1000

log = get_logger(__name__)


class Reception:
    """Answers the SCP for the service; its methods are called from many threads."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        intake: Intake,
        commitments: Commitments,
        callers: Callable[[str], Caller | None] | None = None,
    ) -> None:
        """Take the settings, where refusals and films are recorded, and who answers for them.

        Without `callers` those of the settings stay in force.
        """
        self._caller = callers or settings.caller
        self._commitments = commitments
        self._limits = RateLimits()
        self._database_away = False
        self._settings = settings
        self._store = store
        self._intake = intake
        self._reported: dict[tuple[str, str, str], float] = {}
        self._turn = threading.Lock()

    def admit(self, association: IncomingAssociation) -> Refusal | None:
        """Return why a peer may not associate, logged with the reason in words, or None."""
        verdict = self._judge(association)
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
        if self._is_news(association, reason):
            self._report(association, reason)
        return refusal

    def not_now(self, association: IncomingAssociation) -> DicomError | None:
        """Return why no film can be taken from it now: the database is away, or it sends too many."""
        if self._database_away:
            return OutOfResources("the database cannot take it now")
        caller = self._caller(association.calling_ae)
        limit = caller.films_per_minute if caller else None
        if limit and not self._limits.takes(association.calling_ae, limit):
            return OutOfResources(f"more than {limit} films in a minute")
        return None

    @property
    def is_ready(self) -> bool:
        """Whether films are taken."""
        return not self._database_away

    def database_answers(self, answers: bool) -> None:
        """Take films, or refuse them before they are written."""
        if answers == self._database_away:
            log.warning("receiver_ready" if answers else "receiver_not_ready", database=answers)
        self._database_away = not answers

    def stored(self, arrived: Sequence[Received]) -> list[DicomError | None]:
        """Commit the rows of films that came at the same time, in one transaction if that can be.

        Returns:
            For each film None, or OutOfResources when the database did not take it.
        """
        try:
            self._intake.instances_arrived(arrived)
        except StoreError as error:
            if len(arrived) > 1 and not isinstance(error, StoreUnavailable):
                # One of them is to blame: the others must not suffer for it.
                return [fault for each in arrived for fault in self.stored([each])]
            log.error("film_not_recorded", films=len(arrived), reason=str(error))
            self.database_answers(not isinstance(error, StoreUnavailable))
            return [OutOfResources("the database cannot take it now") for _ in arrived]
        return [None for _ in arrived]

    def commitment_asked(
        self, request: CommitmentRequest, association: IncomingAssociation
    ) -> bool:
        """Promise a report where the caller's settings say where to.

        Raises:
            OutOfResources: The promise cannot be written down.
        """
        caller = self._caller(association.calling_ae)
        if caller is None or caller.commitment_port is None:
            return False
        self._commitments.promise(
            request,
            host=caller.address or association.address,
            port=caller.commitment_port,
            called=association.calling_ae,
        )
        return True

    def commitment_failures(self, request: CommitmentRequest) -> dict[str, int]:
        """Return what is not committed, read from the disk now."""
        return self._commitments.failures(request)

    def association_ended(self, association: IncomingAssociation, outcome: Outcome) -> None:
        """Let the studies that are complete now become jobs."""
        self._intake.association_ended(association.id, outcome)

    def _judge(self, association: IncomingAssociation) -> tuple[Refusal, str] | None:
        ours = self._settings.receiver.ae_title
        if association.called_ae != ours:
            return Refusal.CALLED_AE_NOT_RECOGNIZED, f"it called another AE title than {ours}"
        try:
            caller = self._caller(check_ae_title(association.calling_ae))
        except DicomError:
            return Refusal.CALLING_AE_NOT_RECOGNIZED, "its AE title is not a valid one"
        if caller is None:
            return Refusal.CALLING_AE_NOT_RECOGNIZED, "it is not among receiver.callers"
        if caller.address is not None and not _same_address(caller.address, association.address):
            # The Standard has no reason for an address (PS3.8 table 9-21).
            reason = f"receiver.callers has it at the address {caller.address}"
            return Refusal.CALLING_AE_NOT_RECOGNIZED, reason
        return None

    def _is_news(self, association: IncomingAssociation, reason: str) -> bool:
        key = (association.calling_ae, association.address, reason)
        now = time.monotonic()
        with self._turn:
            last = self._reported.get(key)
            if last is not None and now - last < _INCIDENT_EVERY:
                return False
            if len(self._reported) >= _REMEMBERED:
                # Somebody tries many names: what is written down then says no more than the log.
                self._reported = {k: at for k, at in self._reported.items() if now - at < 60}
                if len(self._reported) >= _REMEMBERED:
                    return False
            self._reported[key] = now
            return True

    def _report(self, association: IncomingAssociation, reason: str) -> None:
        try:
            self._store.record_incident(
                actor="receive",
                kind="refused",
                subject=f"{association.calling_ae} at {association.address}",
                detail=f"An association was refused: {reason}.",
            )
        except StoreError as error:
            log.warning("incident_not_recorded", reason=str(error))


def serve(settings: Settings, *, number: int = 1) -> None:
    """Receive until SIGTERM or SIGINT; then let running associations finish.

    Args:
        settings: In force.
        number: Which of several receivers on this machine it is, from 1.

    Raises:
        StoreError: The database cannot be used at the start.
        ConfigurationError: No broker is configured, or the address cannot be bound.
    """
    # A thread that comes back from the disk or the network waits less for those that compute.
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop = threading.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: stop.set())
    asked = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: asked.set())
    allow_many_connections()
    store = Store.open(settings)
    queue = Queue(settings)
    spool = open_spool(settings)
    callers = Callers(settings, config_path(), load_settings)
    commitments = Commitments(settings, store)
    intake = Intake(store, settings, queue.publish, callers)
    reception = Reception(settings, store, intake, commitments, callers)
    scp = StorageSCP(_scp_settings(settings), spool, reception)
    _listen(scp, settings)
    commitments.start()
    beat = _Beat(store, process_name(number), scp.port)
    reception.database_answers(beat.now(spare=True))
    try:
        while not stop.wait(_LOOK_EVERY):
            callers.look(asked=asked.is_set())
            asked.clear()
            reception.database_answers(beat.now(spare=not reception.is_ready))
    finally:
        log.info("receiver_stopping", seconds=settings.receiver.stop_seconds)
        scp.stop(settings.receiver.stop_seconds)
        commitments.stop()
        _sign_off(store, process_name(number))
        queue.close()
        store.close()
        log.info("receiver_stopped")


def allow_many_connections() -> None:
    """Let this process open as many files as the system grants: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def process_name(number: int = 1) -> str:
    """Return the name of this part on this machine."""
    part = "receive" if number == 1 else f"receive-{number}"
    return f"{part}@{socket.gethostname()}"


def open_spool(settings: Settings) -> Spool:
    """Return the spool, rid of what interrupted receptions left in it.

    Raises:
        ConfigurationError: The folder cannot be used.
    """
    try:
        spool = Spool(
            settings.spool_dir,
            max_object_bytes=settings.receiver.max_object_bytes,
            min_free_bytes=settings.receiver.min_free_bytes,
        )
        leftovers = spool.recover()
    except OSError as error:
        raise ConfigurationError(
            f"data_dir: the spool {settings.spool_dir} cannot be used: {error.strerror}"
        ) from None
    if leftovers:
        log.warning("leftovers_removed", files=leftovers)
    return spool


def _scp_settings(settings: Settings) -> ScpSettings:
    receiver = settings.receiver
    return ScpSettings(
        ae_title=receiver.ae_title,
        host=receiver.host,
        port=receiver.port,
        storage_classes=receiver.storage_classes,
        max_associations=receiver.max_associations,
        fast=receiver.fast,
        shared_port=receiver.processes > 1,
        tls=_tls_files(settings),
        tls_port=receiver.tls_port or 0,
    )


def _tls_files(settings: Settings) -> TlsFiles | None:
    receiver = settings.receiver
    if receiver.tls_port is None or not (receiver.tls_certificate and receiver.tls_key):
        return None
    return TlsFiles(
        certificate=receiver.tls_certificate,
        key=receiver.tls_key,
        client_ca=receiver.tls_client_ca,
    )


def _listen(scp: StorageSCP, settings: Settings) -> None:
    receiver = settings.receiver
    try:
        scp.start()
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"receiver.tls_certificate, tls_key, tls_client_ca: cannot be used: {error.reason}"
        ) from None
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EACCES} and error.filename:
            raise ConfigurationError(f"{error.filename}: {error.strerror}") from None
        raise ConfigurationError(
            f"receiver.host, receiver.port: cannot listen on {receiver.host} port "
            f"{receiver.port}: {error.strerror}"
        ) from None
    log.info("receiver_listening", ae_title=receiver.ae_title, host=receiver.host, port=scp.port)
    if scp.tls_port:
        log.info("receiver_listening_with_tls", host=receiver.host, port=scp.tls_port)
    if not receiver.open and not receiver.callers:
        log.warning("nobody_may_send", reason="receiver.callers is empty and receiver.open is off")


class _Beat:
    """Reports in the database that this process is alive, and so learns whether that answers."""

    def __init__(self, store: Store, name: str, port: int) -> None:
        self._store = store
        self._name = name
        self._port = port
        self._started = datetime.now(UTC)
        self._due = 0.0
        self._answered = True

    def now(self, *, spare: bool) -> bool:
        """Return whether the database answers, asked when it is time or when there is a doubt."""
        if time.monotonic() < self._due and not spare:
            return self._answered
        self._due = time.monotonic() + BEAT_EVERY
        try:
            self._store.beat(
                self._name,
                "receive",
                host=socket.gethostname(),
                pid=os.getpid(),
                started_at=self._started,
                restarts=restarts(),
                detail=f"listening on port {self._port}",
            )
        except StoreError as error:
            log.warning("heartbeat_failed", reason=type(error).__name__)
            self._answered = False
        else:
            self._answered = True
        return self._answered


def _sign_off(store: Store, name: str) -> None:
    try:
        store.sign_off(name)
    except StoreError as error:
        log.warning("not_signed_off", reason=type(error).__name__)


def _same_address(configured: str, actual: str) -> bool:
    peer = ipaddress.ip_address(actual.partition("%")[0])
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    return ipaddress.ip_address(configured) == peer
