"""TCP keepalive for DICOM and HTTP connections, to detect an unreachable peer on an idle connection.

Reads and writes have separate timeouts (`dicom.scu.association`, `dicom.scp.streaming`). Keepalive ends
the connection of an unreachable peer before those timeouts, and preserves the state of a firewall or NAT
for a connection that is idle on purpose. The limits for database and broker are in
`service.system.socket_limits`.
"""

import socket
from typing import Final

IDLE_SECONDS: Final = 30
PROBE_SECONDS: Final = 10
PROBES: Final = 3


def keep_alive(connection: socket.socket) -> None:
    """Enable keepalive; connections that a listening socket accepts inherit it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
