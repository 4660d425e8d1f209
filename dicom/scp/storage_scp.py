"""The storage SCP: accepts C-ECHO, C-STORE and storage commitment; writes data sets to the spool.

Data sets go from the socket to the spool undecoded. A StorageHandler decides which peers may associate
and records each durable Instance; status 0x0000 is sent only after it has returned. This module does
not use a database; the parts that depend on pynetdicom's internals are in `dicom/scp/streaming.py`.
"""

import logging
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from pydicom.dataset import Dataset
from pynetdicom import association as dul
from pynetdicom import evt
from pynetdicom.pdu_primitives import A_ABORT

from dicom.error_boundary import error_boundary
from dicom.errors import (
    PROCESSING_FAILURE,
    DatasetMismatch,
    DicomError,
    InvalidDataset,
    OutOfResources,
)
from dicom.scp.association_reports import AssociationReports
from dicom.scp.commitment_scp import CommitmentService
from dicom.scp.fast_path import fast_association
from dicom.scp.listener import Listener, ListenerSettings
from dicom.scp.presentation_contexts import ScpSettings, offering_entity
from dicom.scp.refusals import CAUSES, Cause, NotAccepted, Report, refused_instance
from dicom.scp.server_tls import RenewedContext
from dicom.scp.storage_handler import Outcome, Refusal, StorageHandler
from dicom.scp.streaming import DatasetStream, IncomingConnection
from dicom.spool.incoming_file import Announced, Incoming
from dicom.spool.ingest import IncomingAssociation, Ingest
from dicom.spool.spool import Spool

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import A_ASSOCIATE

LOGGER: Final = logging.getLogger(__name__)

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"


@dataclass(slots=True)
class _Session:
    """State of one association from its request to its end."""

    association: IncomingAssociation
    commitments: CommitmentService
    established: bool = False
    peer_aborted: bool = False
    ended: bool = False
    incoming: set[Incoming] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)


class StorageSCP:
    """Storage SCP; each object that it acknowledges is durable in the spool and recorded."""

    def __init__(
        self,
        settings: ScpSettings,
        spool: Spool,
        handler: StorageHandler,
        *,
        report: Report = lambda _: None,
    ) -> None:
        """Store the parts; `start` listens.

        Args:
            settings: Ports, limits and accepted SOP Classes.
            spool: Where data sets are stored.
            handler: The application's decisions.
            report: Called for each association, connection, presentation context or Instance that
                is not accepted.
        """
        self._report = report
        self._reports = AssociationReports(report)
        self.idle_seconds = settings.idle_seconds
        self.request_seconds = settings.request_seconds
        self._settings = settings
        self._spool = spool
        self._handler = handler
        self._sessions: dict[dul.Association, _Session] = {}
        self._server: Listener | None = None
        self._tls_server: Listener | None = None
        self._ingest = Ingest(spool, handler.record)

    @property
    def port(self) -> int:
        """The TCP port for plain DICOM, the actual one once started; 0 if there is none."""
        if self._server is None:
            return self._settings.port or 0
        port: int = self._server.server_address[1]
        return port

    @property
    def tls_port(self) -> int:
        """The TLS port in use; 0 if there is none or it is not started."""
        port: int = self._tls_server.server_address[1] if self._tls_server else 0
        return port

    @property
    def has_stopped_listening(self) -> bool:
        """Whether a listener ended because of an internal error; the SCP must be started again."""
        servers = filter(None, (self._server, self._tls_server))
        return any(server.has_ended for server in servers)

    def start(self) -> None:
        """Start listening, in one thread per port.

        Raises:
            OSError: An address cannot be bound, or the TLS files cannot be used.
        """
        settings = self._settings
        secured = RenewedContext(settings.tls) if settings.tls else None
        if settings.port is not None:
            self._server = self._listener(settings.port)
        if secured:
            try:
                self._tls_server = self._listener(settings.tls_port, secured)
            except OSError:
                if self._server is not None:
                    self._server.server_close()
                raise
        for server in filter(None, (self._server, self._tls_server)):
            threading.Thread(
                target=server.serve_forever, args=(0.5,), name="listener", daemon=True
            ).start()

    def _listener(self, port: int, tls: RenewedContext | None = None) -> Listener:
        settings = self._settings
        connection = fast_association.FastConnection if settings.is_fast else IncomingConnection
        limits = ListenerSettings(
            address=(settings.host, port),
            shared=settings.shared_port,
            silent_seconds=settings.request_seconds,
            max_silent=4 * settings.max_associations,
            max_open=4 * settings.max_associations,
        )
        return Listener(
            offering_entity(settings),
            limits,
            self._report,
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
        """Accept no new association; abort those still running after `timeout` seconds."""
        if self._server is None and self._tls_server is None:
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
            self.report_abort(association, Cause.STOPPED, "receiver stopping")
            association.abort(block=False)
        # The associations' own threads send the A-ABORT.
        for association in left:
            running[association].over.wait(1.5)
        self._server = self._tls_server = None

    def open_incoming(self, association: dul.Association, announced: Announced) -> Incoming:
        """Return the file for the data set that a C-STORE command announces (see `Hooks`)."""
        session = self._sessions[association]
        incoming = self._spool.receive(announced, refused=self._unavailable(session.association))
        session.incoming.add(incoming)
        return incoming

    def _unavailable(self, association: IncomingAssociation) -> DicomError | None:
        unforeseen: DicomError | None = OutOfResources("internal error")
        return error_boundary(
            lambda: self._handler.unavailable(association),
            unforeseen,
            lambda: association.calling_ae,
        )

    def association_ended(self, association: dul.Association) -> None:
        """Clean up after an association, however it ended (see `Hooks`)."""
        session = self._sessions.pop(association, None)
        self._reports.ended(association, _end_cause(session))
        if session is None:
            return
        for incoming in session.incoming:
            incoming.discard()
        self._end(session, "aborted" if session.peer_aborted else "broken")
        session.over.set()

    def report_abort(self, association: dul.Association, cause: Cause, reason: str) -> None:
        """Log and report an abort or rejection (see `Hooks`)."""
        self._reports.aborted(association, cause, reason)

    def _on_requested(self, event: evt.Event) -> None:
        request = cast("A_ASSOCIATE", event.assoc.requestor.primitive)
        association = IncomingAssociation(
            id=uuid.uuid4().hex,
            calling_ae=request.calling_ae_title.strip(),
            called_ae=request.called_ae_title.strip(),
            address=event.assoc.requestor.address,
        )
        session = _Session(association, CommitmentService(self._handler, association))
        refusal = self._admit(association, str(request.application_context_name or ""))
        if refusal is None:
            self._sessions[event.assoc] = session
            return
        # For the report: pynetdicom sets it only when it negotiates, after this event.
        event.assoc.requestor.ae_title = association.calling_ae
        self._reports.rejected(event.assoc, CAUSES[refusal])
        event.assoc.acse.send_reject(*refusal.value)
        event.assoc.kill()  # returns once the rejection is sent

    def _admit(self, association: IncomingAssociation, application_context: str) -> Refusal | None:
        if application_context != APPLICATION_CONTEXT:
            LOGGER.warning(
                "association refused: %s at %s: not the DICOM application context",
                association.calling_ae,
                association.address,
            )
            return Refusal.APPLICATION_CONTEXT_NOT_SUPPORTED
        unforeseen: Refusal | None = Refusal.NO_REASON_GIVEN
        refusal = error_boundary(
            lambda: self._handler.admit(association), unforeseen, lambda: association.calling_ae
        )
        limit = self._settings.max_associations
        if refusal is None and len(self._sessions) >= limit:
            LOGGER.warning(
                "association refused: %s: more than %d at once", association.calling_ae, limit
            )
            return Refusal.LOCAL_LIMIT_EXCEEDED
        return refusal

    def _on_established(self, event: evt.Event) -> None:
        self._sessions[event.assoc].established = True
        self._reports.contexts(event.assoc)

    def _on_acse(self, event: evt.Event) -> None:
        session = self._sessions.get(event.assoc)
        # A lost connection is indicated as A-P-ABORT (action AA-4 of PS3.8), which is another class.
        if session and isinstance(getattr(event, "primitive", None), A_ABORT):
            session.peer_aborted = True

    def _on_released(self, event: evt.Event) -> None:
        self._end(self._sessions[event.assoc], "released")

    def _end(self, session: _Session, outcome: Outcome) -> None:
        # Called at the release and again at the end of the association.
        if session.ended or not session.established:
            return
        session.ended = True
        association = session.association
        error_boundary(
            lambda: self._handler.association_ended(association, outcome),
            None,
            lambda: association.calling_ae,
        )

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        commitments = self._sessions[event.assoc].commitments
        status = commitments.request(event)
        if commitments.pending and not self._settings.is_fast:
            # On the plain path the report is sent by a timer thread, after the N-ACTION response.
            threading.Timer(0.1, self.send_pending, [event.assoc]).start()
        return status, None

    def send_pending(self, association: dul.Association) -> None:
        """Send the commitment reports promised on this association (see `Hooks`)."""
        session = self._sessions.get(association)
        if session:
            session.commitments.report(association)

    def _on_store(self, event: evt.Event) -> Dataset:
        stream = getattr(event.request, "DataSet", None)
        incoming = stream.incoming if isinstance(stream, DatasetStream) else None
        return _status(*self.store(event.assoc, incoming, event.context.abstract_syntax))

    def store(
        self, association: dul.Association, incoming: Incoming | None, context_class: str
    ) -> tuple[int, str]:
        """Return status and comment of the C-STORE response; every error becomes a status here.

        Args:
            association: The association of the request.
            incoming: Its data set; None if there was none.
            context_class: SOP Class UID of the presentation context.
        """
        session = self._sessions[association]
        try:
            return error_boundary(
                lambda: self._answer(incoming, context_class, session.association),
                (PROCESSING_FAILURE, "internal error"),
                lambda: session.association.calling_ae,
            )
        finally:
            if incoming is not None:
                incoming.discard()
                session.incoming.discard(incoming)

    def _answer(
        self, incoming: Incoming | None, context_class: str, association: IncomingAssociation
    ) -> tuple[int, str]:
        try:
            self._store(incoming, context_class, association)
        except DicomError as error:
            LOGGER.warning(
                "object refused: 0x%04X %s (from %s)", error.status, error, association.calling_ae
            )
            self._report(
                NotAccepted(
                    cause=refused_instance(error),
                    calling_ae=association.calling_ae,
                    address=association.address,
                    sop_class_uid=context_class,
                )
            )
            return error.status, _comment(str(error))
        return 0x0000, ""

    def _store(
        self, incoming: Incoming | None, context_class: str, association: IncomingAssociation
    ) -> None:
        if incoming is None:
            raise InvalidDataset("the C-STORE request has no data set")
        # An earlier fault takes precedence; `Ingest.store` raises it.
        if not incoming.fault and incoming.announced.sop_class_uid != context_class:
            raise DatasetMismatch("SOP Class differs between command and presentation context")
        self._ingest.store(incoming, association)


def _end_cause(session: _Session | None) -> Cause | None:
    """Return why an association ended without a release, or None if it was released."""
    if session is None:
        return Cause.NO_REQUEST
    if session.ended:
        return None
    return Cause.PEER_ABORTED if session.peer_aborted else Cause.CONNECTION_BROKEN


def _comment(sentence: str) -> str:
    """Return `sentence` as LO: 64 characters of the default repertoire, no backslash (PS3.5 6.2)."""
    return re.sub(r"[^\x20-\x5b\x5d-\x7e]", "?", sentence)[:64]


def _status(code: int, comment: str) -> Dataset:
    status = Dataset()
    status.Status = code
    if comment:
        status.ErrorComment = comment
    return status
