"""Keepalive of DICOM and HTTP connections: a peer whose packets are dropped is noticed while idle.

Reads and writes have time limits of their own (`dicom.scu.association`, `dicom.scp.streaming`).
Keepalive ends the connection of a peer that was cut off before those limits, and keeps the state
that a firewall or NAT holds for a connection that is idle on purpose. Those of the database and the
broker are in `service.system.socket_limits`.
"""

import socket
from typing import Final

IDLE_SECONDS: Final = 30
PROBE_SECONDS: Final = 10
PROBES: Final = 3


def keep_alive(connection: socket.socket) -> None:
    """Probe the peer of an idle connection; those that a listening socket accepts have it from it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
