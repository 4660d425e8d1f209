"""An adapter for `requests` whose connections are limited by the current Deadline of their thread."""

import socket
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager

from dicom.library import Library
from dicom.network.deadline import follow_connection

LIBRARY: Final = Library(
    name="urllib3",
    tested=("2.8.0",),
    consequence="the limit of an exchange with Orthanc may begin only after its TLS handshake",
)


class _Followed:
    """Registers a connection's socket with the current Deadline: when new, and at each use."""

    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        # Before the TLS handshake, which a peer can delay as well.
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        follow_connection(made)
        return made

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        follow_connection(self.sock)

    def request(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - urllib3's
        follow_connection(self.sock)
        super().request(*arguments, **options)  # type: ignore[misc]


class _Connection(_Followed, HTTPConnection):
    """An HTTP connection that registers with the current Deadline."""


class _SecureConnection(_Followed, HTTPSConnection):
    """An HTTPS connection that registers with the current Deadline."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Final = {"http": _Pool, "https": _SecurePool}


class LimitedAdapter(HTTPAdapter):
    """Sends requests over connections that a Deadline can shut down."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - requests'
        """Use pools of `_Connection` and `_SecureConnection`."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> ProxyManager:  # noqa: ANN401 - requests'
        """Use the same pools for connections through a proxy."""
        manager: ProxyManager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
