"""The storage SCP: C-ECHO and C-STORE in, files in the spool, one status for each object out.

What arrives goes from the socket to the spool undecoded. A StorageHandler decides who may associate and
records each durable Instance; only when it has returned does the sender hear 0x0000. Nothing here knows
of a database; what reaches into pynetdicom is in `dicom/acceptor.py`.
"""

import logging
import re
import threading
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

import pydicom.uid as uids
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom import association as dul
from pynetdicom.pdu_primitives import A_ABORT

from dicom import fast
from dicom.acceptor import MAXIMUM_PDU, DatasetStream, IncomingConnection
from dicom.commitment import (
    PUSH_MODEL,
    REQUEST_COMMITMENT,
    CommitmentRequest,
    make_report,
    read_request,
    send_report,
)
from dicom.errors import DatasetMismatch, DicomError, InvalidDataset, OutOfResources
from dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom.keeping import IncomingAssociation, Keeper, Received
from dicom.listener import DoorSettings, Listener
from dicom.spool import Announced, Incoming, Spool
from dicom.tls import RenewedContext, TlsFiles

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import N_ACTION
    from pynetdicom.pdu_primitives import A_ASSOCIATE

LOGGER: Final = logging.getLogger(__name__)

STORAGE_CLASSES: Final = (
    uids.ComputedRadiographyImageStorage,
    uids.DigitalXRayImageStorageForPresentation,
    uids.DigitalXRayImageStorageForProcessing,
)
# All that our decoders can read. Of several proposed in one context the first of these is accepted:
# lossless ones as they are, so that nobody decodes for us; lossy ones last, so that nobody compresses.
TRANSFER_SYNTAXES: Final = (
    uids.JPEGLosslessSV1,
    uids.JPEGLossless,
    uids.JPEGLSLossless,
    uids.JPEG2000Lossless,
    uids.RLELossless,
    uids.DeflatedExplicitVRLittleEndian,
    uids.ExplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
    uids.ImplicitVRLittleEndian,
    uids.JPEG2000,
    uids.JPEGLSNearLossless,
    uids.JPEGExtended12Bit,
    uids.JPEGBaseline8Bit,
)
_VERIFICATION: Final = "1.2.840.10008.1.1"
_PROCESSING_FAILURE: Final = 0x0110  # PS3.7 C.5.13
_RESOURCES: Final = 0x0213  # PS3.7 C.5.19
_NO_SUCH_ACTION: Final = 0x0123  # PS3.7 C.5.9

Outcome = Literal["released", "aborted", "broken"]


class Refusal(Enum):
    """Why an association is rejected: result, source and reason (PS3.8 table 9-21)."""

    CALLING_AE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_NOT_RECOGNIZED = (1, 1, 7)
    NO_REASON_GIVEN = (2, 1, 1)
    TEMPORARY_CONGESTION = (2, 3, 1)
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)


class StorageHandler(Protocol):
    """What the application does; called from the threads of the associations."""

    def admit(self, association: IncomingAssociation) -> Refusal | None:
        """Return why a peer may not associate, or None when it may."""

    def not_now(self, association: IncomingAssociation) -> DicomError | None:
        """Return why no object could be recorded now; asked when a C-STORE command has come."""

    def stored(self, arrived: Sequence[Received]) -> Sequence[DicomError | None]:
        """Record durable Instances that came at the same time, on any associations.

        A sender hears Success only after this has returned.

        Returns:
            For each of them None, or why it cannot be recorded: then its file is removed and its
            sender hears that error's status.
        """

    def commitment_asked(
        self, request: CommitmentRequest, association: IncomingAssociation
    ) -> bool:
        """Return whether the answer goes over an association of our own, which is then promised.

        Raises:
            DicomError: It cannot be promised; the peer hears a failure.
        """

    def commitment_failures(self, request: CommitmentRequest) -> Mapping[str, int]:
        """Return, by SOP Instance UID, why something is not committed (see `dicom.commitment`)."""

    def association_ended(self, association: IncomingAssociation, outcome: Outcome) -> None:
        """An association that was admitted is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScpSettings:
    """How the SCP listens.

    Attributes:
        port: 0 takes a free one.
        storage_classes: SOP Class UIDs accepted besides CR and DX.
        max_associations: At the same time; one more is rejected as over the local limit.
        request_seconds: How long a connection may stay without an association request.
        idle_seconds: How long an association may be silent.
        fast: Receive by `dicom.fast`, where that is written for the pynetdicom that is installed.
        shared_port: Other processes may listen on the same port.
        tls: The files with which a second port is secured, or None.
        tls_port: That port; 0 takes a free one.
    """

    ae_title: str
    host: str
    port: int
    storage_classes: tuple[str, ...] = ()
    max_associations: int = 256
    request_seconds: float = 15.0
    idle_seconds: float = 120.0
    fast: bool = True
    shared_port: bool = False
    tls: TlsFiles | None = None
    tls_port: int = 0

    @property
    def is_fast(self) -> bool:
        """Whether the fast path is in force."""
        return self.fast and fast.IS_USABLE


@dataclass(slots=True)
class _Session:
    """One association from its request to its end."""

    association: IncomingAssociation
    established: bool = False
    peer_aborted: bool = False
    ended: bool = False
    incoming: set[Incoming] = field(default_factory=set)
    unanswered: list[CommitmentRequest] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


class StorageSCP:
    """Listens for modalities; every object that it acknowledges is in the spool and recorded."""

    def __init__(self, settings: ScpSettings, spool: Spool, handler: StorageHandler) -> None:
        self.idle_seconds = settings.idle_seconds
        self.request_seconds = settings.request_seconds
        self._settings = settings
        self._spool = spool
        self._handler = handler
        self._sessions: dict[dul.Association, _Session] = {}
        self._server: Listener | None = None
        self._tls_server: Listener | None = None
        self._keeper = Keeper(spool, handler.stored)

    @property
    def port(self) -> int:
        """The TCP port in force; known once started."""
        if self._server is None:
            return self._settings.port
        port: int = self._server.server_address[1]
        return port

    @property
    def tls_port(self) -> int:
        """The secured TCP port in force; 0 when there is none."""
        port: int = self._tls_server.server_address[1] if self._tls_server else 0
        return port

    def start(self) -> None:
        """Listen, in threads of its own.

        Raises:
            OSError: An address cannot be bound, or the TLS files cannot be used.
        """
        settings = self._settings
        secured = RenewedContext(settings.tls) if settings.tls else None
        self._server = self._listener(settings.port)
        if secured:
            try:
                self._tls_server = self._listener(settings.tls_port, secured)
            except OSError:
                self._server.server_close()
                raise
        for server in filter(None, (self._server, self._tls_server)):
            threading.Thread(
                target=server.serve_forever, args=(0.5,), name="listener", daemon=True
            ).start()

    def _listener(self, port: int, tls: RenewedContext | None = None) -> Listener:
        settings = self._settings
        connection = fast.FastConnection if settings.is_fast else IncomingConnection
        door = DoorSettings(
            address=(settings.host, port),
            shared=settings.shared_port,
            silent_seconds=settings.request_seconds,
            max_silent=4 * settings.max_associations,
            max_open=4 * settings.max_associations,
        )
        return Listener(
            _entity(settings),
            door,
            request_handler=partial(connection, hooks=self, tls=tls),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_ESTABLISHED, self._on_established),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_N_ACTION, self._on_action),
                (evt.EVT_ACSE_RECV, self._on_acse),
                (evt.EVT_RELEASED, self._on_released),
            ],
        )

    def stop(self, timeout: float) -> None:
        """Take no new association, let running ones finish for `timeout` seconds, abort the rest."""
        if self._server is None:
            return
        deadline = time.monotonic() + timeout
        for server in filter(None, (self._server, self._tls_server)):
            server.shutdown()
        running = dict(self._sessions)
        for session in running.values():
            session.over.wait(max(0.0, deadline - time.monotonic()))
        left = [
            association for association, session in running.items() if not session.over.is_set()
        ]
        for association in left:
            association.abort(block=False)
        for association in left:
            running[association].over.wait(1.5)
        self._server = self._tls_server = None

    def announced(self, association: dul.Association, announced: Announced) -> Incoming:
        """Return where the data set goes that a C-STORE command announces (see acceptor.Hooks)."""
        session = self._sessions[association]
        incoming = self._spool.receive(announced, refused=self._not_now(session.association))
        session.incoming.add(incoming)
        return incoming

    def _not_now(self, association: IncomingAssociation) -> DicomError | None:
        try:
            return self._handler.not_now(association)
        except Exception as error:  # noqa: BLE001 - the edge: who cannot ask takes nothing
            _log_unexpected(error, association)
            return OutOfResources("internal error")

    def ended(self, association: dul.Association) -> None:
        """Tidy up after an association, however it ended (see acceptor.Hooks)."""
        session = self._sessions.pop(association, None)
        if session is None:
            return
        for incoming in session.incoming:
            incoming.discard()
        self._end(session, "aborted" if session.peer_aborted else "broken")
        session.over.set()

    def _on_requested(self, event: evt.Event) -> None:
        request = cast("A_ASSOCIATE", event.assoc.requestor.primitive)
        session = _Session(
            IncomingAssociation(
                id=uuid.uuid4().hex,
                calling_ae=request.calling_ae_title.strip(),
                called_ae=request.called_ae_title.strip(),
                address=event.assoc.requestor.address,
            )
        )
        refusal = self._admit(session.association)
        if refusal is None:
            self._sessions[event.assoc] = session
            return
        event.assoc.acse.send_reject(*refusal.value)
        event.assoc.kill()  # returns once the rejection is sent

    def _admit(self, association: IncomingAssociation) -> Refusal | None:
        try:
            refusal = self._handler.admit(association)
        except Exception as error:  # noqa: BLE001 - the edge: who cannot be checked does not come in
            _log_unexpected(error, association)
            return Refusal.NO_REASON_GIVEN
        limit = self._settings.max_associations
        if refusal is None and len(self._sessions) >= limit:
            LOGGER.warning(
                "association refused: %s: more than %d at once", association.calling_ae, limit
            )
            return Refusal.LOCAL_LIMIT_EXCEEDED
        return refusal

    def _on_established(self, event: evt.Event) -> None:
        self._sessions[event.assoc].established = True

    def _on_acse(self, event: evt.Event) -> None:
        session = self._sessions.get(event.assoc)
        if session and isinstance(getattr(event, "primitive", None), A_ABORT):
            session.peer_aborted = True

    def _on_released(self, event: evt.Event) -> None:
        self._end(self._sessions[event.assoc], "released")

    def _end(self, session: _Session, outcome: Outcome) -> None:
        if session.ended or not session.established:
            return
        session.ended = True
        try:
            self._handler.association_ended(session.association, outcome)
        except Exception as error:  # noqa: BLE001 - the edge: a thread of pynetdicom's ends here
            _log_unexpected(error, session.association)

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        """Return the status of a storage commitment request (PS3.4 J.3.2)."""
        session = self._sessions[event.assoc]
        action = cast("N_ACTION", event.request)
        if action.ActionTypeID != REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION, None
        try:
            encoded = action.ActionInformation
            request = read_request(
                encoded.getvalue() if encoded else b"", str(event.context.transfer_syntax)
            )
            reported_apart = self._handler.commitment_asked(request, session.association)
        except DicomError as error:
            caller = session.association.calling_ae
            LOGGER.warning("commitment not promised: %s (from %s)", error, caller)
            return (_RESOURCES if error.transient else _PROCESSING_FAILURE), None
        except Exception as error:  # noqa: BLE001 - the edge: a bug must not end as Success
            _log_unexpected(error, session.association)
            return _PROCESSING_FAILURE, None
        if not reported_apart:
            session.unanswered.append(request)
            if not self._settings.is_fast:  # there another thread may send, after the response
                threading.Timer(0.1, self.served, [event.assoc]).start()
        return 0x0000, None

    def served(self, association: dul.Association) -> None:
        """Send what was promised on the same association (see acceptor.Hooks)."""
        session = self._sessions.get(association)
        while session and session.unanswered and association.is_established:
            request = session.unanswered.pop(0)
            failures = self._handler.commitment_failures(request)
            status = send_report(association, *make_report(request, failures))
            if status != 0x0000:
                LOGGER.warning("commitment report not taken by %s", session.association.calling_ae)

    def _on_store(self, event: evt.Event) -> Dataset:
        stream = getattr(event.request, "DataSet", None)
        incoming = stream.incoming if isinstance(stream, DatasetStream) else None
        return _status(*self.stored(event.assoc, incoming, event.context.abstract_syntax))

    def stored(
        self, association: dul.Association, incoming: Incoming | None, context_class: str
    ) -> tuple[int, str]:
        """Return the response's status and comment; the one place where a C-STORE may fail in any way.

        Args:
            association: On which it came.
            incoming: Its data set; None when there was none.
            context_class: SOP Class of the presentation context.
        """
        session = self._sessions[association]
        try:
            self._store(incoming, context_class, session.association)
        except DicomError as error:
            LOGGER.warning(
                "object refused: 0x%04X %s (from %s)",
                error.status,
                error,
                session.association.calling_ae,
            )
            return error.status, _comment(str(error))
        except Exception as error:  # noqa: BLE001 - the edge: a bug must not end as Success
            _log_unexpected(error, session.association)
            return _PROCESSING_FAILURE, "internal error"
        finally:
            if incoming is not None:
                incoming.discard()
                session.incoming.discard(incoming)
        return 0x0000, ""

    def _store(
        self, incoming: Incoming | None, context_class: str, association: IncomingAssociation
    ) -> None:
        if incoming is None:
            raise InvalidDataset("the C-STORE request brought no data set")
        if not incoming.fault and incoming.announced.sop_class_uid != context_class:
            raise DatasetMismatch("SOP Class differs between command and presentation context")
        self._keeper.keep(incoming, association)


def _entity(settings: ScpSettings) -> AE:
    entity = AE(ae_title=settings.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_associations = 2**31  # counted by us, without a walk over all threads
    entity.maximum_pdu_size = MAXIMUM_PDU - 6
    entity.acse_timeout = settings.request_seconds
    entity.dimse_timeout = entity.network_timeout = settings.idle_seconds
    entity.add_supported_context(_VERIFICATION)
    plain = [uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian]
    entity.add_supported_context(PUSH_MODEL, plain)
    # Few contexts: pynetdicom copies all of them for each association.
    for storage_class in (*STORAGE_CLASSES, *settings.storage_classes):
        entity.add_supported_context(storage_class, list(TRANSFER_SYNTAXES))
    return entity


def _comment(sentence: str) -> str:
    """Return `sentence` as LO: 64 characters of the default repertoire, no backslash (PS3.5 6.2)."""
    return re.sub(r"[^\x20-\x5b\x5d-\x7e]", "?", sentence)[:64]


def _status(code: int, comment: str) -> Dataset:
    status = Dataset()
    status.Status = code
    if comment:
        status.ErrorComment = comment
    return status


def _log_unexpected(error: Exception, association: IncomingAssociation) -> None:
    # The places only, not the error's own words: those may quote a value of the data set.
    LOGGER.error(
        "unexpected %s (association with %s)\n%s",
        type(error).__name__,
        association.calling_ae,
        "".join(traceback.format_tb(error.__traceback__)),
    )
