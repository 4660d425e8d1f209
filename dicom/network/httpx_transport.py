"""A transport for `httpx` whose connections are limited by the current Deadline of their thread."""

import socket
import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore
import httpx

from dicom.library import Library
from dicom.network.deadline import follow_connection

LIBRARY: Final = Library(
    name="httpx",
    tested=("0.28.1",),
    consequence="DICOMweb exchanges are limited by httpx only, each read and write by itself",
)


class _Stream(httpcore.NetworkStream):
    """Registers its socket with the current Deadline before each read and write."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._follow()

    def _follow(self) -> None:
        connection = self._stream.get_extra_info("socket")
        follow_connection(connection if isinstance(connection, socket.socket) else None)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._follow()
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._follow()
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Connects like httpcore, and returns a `_Stream`."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )


class LimitedTransport(httpx.HTTPTransport):
    """Sends requests over connections that a Deadline can shut down."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - httpx's
        """Accept the options of httpx.HTTPTransport."""
        super().__init__(**options)
        if LIBRARY.is_tested:
            # httpx has no option for httpcore's network backend.
            self._pool._network_backend = _Backend()  # noqa: SLF001
