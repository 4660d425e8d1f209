"""Connections to a model server, only to IP addresses that the site permits.

The address is checked where the connection is made, after the name was resolved: a name that resolves to
another address later is checked again. No proxy and no redirect is followed.
"""

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Final

import anyio
import httpcore

from workers.model.errors import ServerRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Permitted = Callable[[Address], bool]
CONNECT_SECONDS: Final = 10.0


class PermittedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to permitted addresses only.

    Args:
        permitted: Whether a connection to an address is permitted.
    """

    def __init__(self, permitted: Permitted) -> None:
        self._permitted = permitted
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first permitted address that accepts a connection.

        Raises:
            ServerRefused: The host has no permitted address.
            httpcore.ConnectError: No address accepts a connection, or the name cannot be resolved.
        """
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._addresses(host, port):
            try:
                return await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Return the permitted addresses of a host."""
        try:
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} cannot be resolved") from error
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        permitted = [each for each in addresses if self._permitted(_address(each))]
        if not permitted:
            raise ServerRefused(
                f"{host} ({', '.join(addresses[:4])}) is outside the loopback and private networks: "
                "name a server within the site, or set allow_remote = true"
            )
        return permitted

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)


def reason_of(error: httpcore.ConnectError) -> str:
    """Return why no connection was made, from the operating system's error where there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            break  # its numbers are not those of the operating system
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
        if isinstance(cause, anyio.EndOfStream | anyio.BrokenResourceError):
            return "the server ended it"
        if isinstance(cause, ExceptionGroup):
            cause = cause.exceptions[0]
            continue
        cause = cause.__cause__ or cause.__context__
    return str(error)


def pool(
    permitted: Permitted, *, connections: int, tls: ssl.SSLContext
) -> httpcore.AsyncConnectionPool:
    """Return a connection pool of at most `connections`; environment variables change nothing."""
    return httpcore.AsyncConnectionPool(
        ssl_context=tls,
        max_connections=connections,
        keepalive_expiry=30.0,
        network_backend=PermittedBackend(permitted),
    )


def _address(text: str) -> Address:
    """Return an IP address without its zone; an IPv4-mapped IPv6 address as IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
