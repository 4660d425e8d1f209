"""Associations that we request: the peer, time limits, and errors with a reason.

An association is used by one thread, and not used again after an error.
"""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pydicom.uid import UID
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationSilent,
    DestinationUnavailable,
    is_thread_exhaustion,
)
from dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom.network.client_tls import ClientContext, PeerTls, tls_failure
from dicom.network.deadline import Deadline
from dicom.network.keepalive import keep_alive
from dicom.pynetdicom_private import set_poll

# Polling interval of pynetdicom's thread in seconds: during an exchange, and while the peer is slow,
# when hundreds of such threads must not use up the processor.
_POLL: Final = 0.001
_SLOW_POLL: Final = 0.05
# Seconds after pynetdicom's own timeouts until the connection is shut down: they end it in order.
_GRACE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The called application entity, and our calling AE title.

    Attributes:
        host: Host name or IP address.
        port: TCP port.
        called: Its AE title.
        calling: Our AE title.
        timeout: Seconds for the negotiation, and for each request with its complete response.
        tls: TLS parameters; None for plain DICOM.
        name: Display name, included in each error message; "" for none.
    """

    host: str
    port: int
    called: str
    calling: str = "WETREAD"
    timeout: float = 30.0
    tls: PeerTls | None = None
    name: str = ""

    def __str__(self) -> str:
        """Return the name and address for error messages."""
        address = f"{self.called} at {self.host}:{self.port}"
        return f"{self.name} ({address})" if self.name else address


@contextmanager
def associate(
    peer: Peer,
    contexts: Sequence[tuple[UID, UID]],
    negotiate: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Iterator[Association]:
    """Request an association; release it at the end of the block, or abort it after an error.

    Args:
        peer: The called application entity.
        contexts: (abstract syntax, transfer syntax) pairs, each proposed as a separate context.
        negotiate: Role selections other than SCU.
        handlers: Event handlers for requests of the peer, such as C-STORE within C-GET.

    Yields:
        The established association. If the peer accepted none of the contexts, it has ended already
            and its `accepted_contexts` are empty; the calling function must check that.

    Raises:
        DestinationUnavailable: No connection, no answer in time, or a transient rejection.
        DestinationRejected: A permanent rejection (PS3.8 9.3.4).
    """
    proposed = [build_context(abstract, [transfer]) for abstract, transfer in contexts]
    context = _tls_context(peer)
    association = _request(peer, proposed, negotiate, handlers, context)
    try:
        if not association.is_established and not association.rejected_contexts:
            raise _refusal(association, peer, context)
        yield association
        with _limited(association, peer.timeout + _GRACE):
            association.release()
    finally:
        if association.is_established:
            with _limited(association, _GRACE):
                association.abort()


@contextmanager
def established(association: Association, peer: Peer) -> Iterator[None]:
    """Limit one request, made in the block, and report an association that ends meanwhile.

    Raises:
        DestinationSilent: The association has ended, or the response was not complete within
            `peer.timeout`.
    """
    sentence = f"{peer} ended the association before the exchange was complete"
    if not association.is_established:
        raise DestinationSilent(sentence)
    with _limited(association, peer.timeout + _GRACE) as deadline:
        try:
            yield
        except RuntimeError as error:
            # pynetdicom raises RuntimeError for an ended association; otherwise it is another error.
            if association.is_established:
                raise
            raise DestinationSilent(sentence) from error
    if deadline.expired:
        raise DestinationSilent(f"{peer} gave no complete answer within {peer.timeout:g} s")


def _limited(association: Association, seconds: float) -> Deadline:
    """Return a deadline that interrupts reads and writes of pynetdicom's threads on the connection."""
    set_poll(association, _POLL)
    deadline = Deadline(seconds, lambda: set_poll(association, _SLOW_POLL))
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        deadline.follow(connection.socket)
    return deadline


def _request(
    peer: Peer,
    contexts: list[PresentationContext],
    negotiate: Sequence[SCP_SCU_RoleSelectionNegotiation],
    handlers: Sequence[evt.EventHandlerType],
    context: ClientContext | None,
) -> Association:
    entity = AE(ae_title=peer.calling)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = entity.acse_timeout = peer.timeout
    entity.dimse_timeout = entity.network_timeout = peer.timeout

    # Filled by EVT_CONN_OPEN, because AE.associate returns only after the negotiation.
    begun: list[Association] = []

    def slow() -> None:
        for each in begun:
            set_poll(each, _SLOW_POLL)

    deadline = Deadline(peer.timeout + _GRACE, slow)

    def bound(event: evt.Event) -> None:
        begun.append(event.assoc)
        _bound_socket(event.assoc, peer.timeout, deadline)

    if context is not None:
        context.on_handshake = deadline.follow
    try:
        with deadline:
            return entity.associate(
                peer.host,
                peer.port,
                contexts=contexts,
                ext_neg=list(negotiate) or None,
                ae_title=peer.called,
                evt_handlers=[(evt.EVT_CONN_OPEN, bound), *handlers],
                tls_args=(context, peer.host) if context is not None else None,
            )
    except OSError as error:  # the host's name cannot be resolved
        raise DestinationSilent(f"{peer}: {error.strerror}: check its host name") from error
    except RuntimeError as error:
        if not is_thread_exhaustion(error):
            raise
        raise DestinationUnavailable(f"{peer}: this machine cannot start a thread now") from error


def _bound_socket(association: Association, seconds: float, deadline: Deadline) -> None:
    """Set TCP_NODELAY and timeouts for reads and writes; limit the negotiation by `deadline`.

    Without TCP_NODELAY a small object waits some 40 ms for the peer's delayed acknowledgement.
    pynetdicom reads and writes without a timeout: a peer that stops in the middle of a PDU would block
    the thread. The deadline also ends the connection of a peer that sends single bytes.
    """
    connection = association.dul.socket
    if connection is None or connection.socket is None:
        return
    deadline.follow(connection.socket)
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    keep_alive(connection.socket)
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def _tls_context(peer: Peer) -> ClientContext | None:
    if peer.tls is None:
        return None
    try:
        return peer.tls.context()
    except OSError as error:
        reason = tls_failure(error) or error.strerror
        raise DestinationSilent(f"{peer}: its TLS files cannot be used: {reason}") from error


def _refusal(
    association: Association, peer: Peer, context: ClientContext | None
) -> DestinationError:
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        sentence = f"{peer} rejected the association: {answer.reason_str}"
        if answer.result == 0x01:
            advice = f"check both AE titles there (calling is {peer.calling})"
            return DestinationRejected(f"{sentence}; {advice}")
        return DestinationUnavailable(sentence)
    if context is not None and context.failure is not None:
        return DestinationSilent(f"{peer}: {tls_failure(context.failure)}")
    return DestinationSilent(
        f"{peer} cannot be reached: it did not accept an association within {peer.timeout:g} s; "
        "check that it runs, its host and its port"
    )
