import socket

from dicom.network.keepalive import IDLE_SECONDS, PROBES, keep_alive


def test_accepted_connections_are_probed_like_their_listener():
    """Linux copies the options of a listening socket to what it accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        keep_alive(listener)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                idle = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                probes = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
    assert (idle, probes) == (IDLE_SECONDS, PROBES)
