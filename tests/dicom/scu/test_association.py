"""Associations that we request: with a real SCP, and with unreachable peers."""

import socket
import struct

import pytest
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE

from dicom.errors import DestinationRejected, DestinationSilent, DestinationUnavailable
from dicom.scu.association import Peer, associate, established
from dicom.scu.store_scu import VERIFICATION

# A C structure `timeval` of 5 seconds.
FIVE_SECONDS = struct.pack("ll", 5, 0)
CONTEXTS = [(VERIFICATION, ImplicitVRLittleEndian)]


@pytest.fixture
def scp():
    """A function that starts an application entity and returns it as a peer."""
    servers = []

    def start(**changes):
        entity = AE(ae_title="PACS")
        entity.add_supported_context(VERIFICATION)
        entity.require_called_aet = True
        for name, value in changes.items():
            setattr(entity, name, value)
        servers.append(entity.start_server(("127.0.0.1", 0), block=False))
        port = servers[-1].server_address[1]
        return Peer(host="127.0.0.1", port=port, called="PACS", timeout=5)

    yield start
    for server in servers:
        server.shutdown()


def test_an_association_is_established_and_released(scp):
    """The association can be used within the block."""
    peer = scp()
    with associate(peer, CONTEXTS) as association, established(association, peer):
        assert association.send_c_echo().Status == 0x0000
    assert association.is_released


def test_small_pdus_are_sent_at_once_and_no_call_waits_for_ever(scp):
    """Without TCP_NODELAY each small C-STORE waits some 40 ms for the peer's delayed acknowledgement."""
    with associate(scp(), CONTEXTS) as association:
        connection = association.dul.socket.socket
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for limit in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            length = len(FIVE_SECONDS)
            assert connection.getsockopt(socket.SOL_SOCKET, limit, length) == FIVE_SECONDS


def test_a_permanent_rejection_names_both_titles(scp):
    """The administrator of the peer must correct them."""
    peer = scp()
    wrong = Peer(host=peer.host, port=peer.port, called="OTHER", calling="US", timeout=5)
    problem = r"check both AE titles there \(calling is US\)"
    with pytest.raises(DestinationRejected, match=problem), associate(wrong, CONTEXTS):
        pass


def test_a_transient_rejection_may_pass(scp):
    """The peer accepts no further association at the moment."""
    peer = scp(maximum_associations=1)
    refused = pytest.raises(DestinationUnavailable, match="rejected the association")
    with associate(peer, CONTEXTS), refused, associate(peer, CONTEXTS):
        pass


def test_an_error_in_the_block_aborts(scp):
    """The association is not used again."""
    with pytest.raises(ZeroDivisionError), associate(scp(), CONTEXTS) as association:
        raise ZeroDivisionError
    assert association.is_aborted


def test_an_association_that_has_ended_is_silent(scp):
    """A request on it is not begun."""
    peer = scp()
    with associate(peer, CONTEXTS) as association:
        association.abort()
        ended = pytest.raises(DestinationSilent, match="ended the association")
        with ended, established(association, peer):
            pass


def test_a_port_without_a_server_is_silent(free_port):
    """The message says what to check; the name of the peer comes first."""
    peer = Peer(host="127.0.0.1", port=free_port(), called="PACS", timeout=2, name="main")
    absent = pytest.raises(DestinationSilent, match="check that it runs, its host and its port")
    with absent as found, associate(peer, CONTEXTS):
        pass
    assert str(found.value).startswith(f"main (PACS at 127.0.0.1:{peer.port})")
