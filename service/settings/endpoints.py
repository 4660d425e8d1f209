"""The addresses on which the parts of the service listen, and conflicts between them. Pure."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from service.settings.rules import Conflict
from service.settings.tables import Tables

_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address on which a part of the service listens.

    Attributes:
        table: The table of the settings.
        key: The key of the port in that table.
        host: The interface.
        port: The TCP port; 0 for any free one.
    """

    table: str
    key: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """The setting of the port, such as `receiver.tls_port`."""
        return f"{self.table}.{self.key}"

    @property
    def has_both_versions(self) -> bool:
        """Whether it accepts IPv4 and IPv6: `::` is dual-stack in the receiver only."""
        return self.table == "receiver" and _is_every(_address(self.host)) and ":" in self.host

    def overlaps(self, other: "Endpoint") -> bool:
        """Return whether one machine cannot bind both; always False for port 0."""
        if self.port != other.port or self.port == 0:
            return False
        one, another = _address(self.host), _address(other.host)
        if isinstance(one, str) or isinstance(another, str):
            return one == another or any(_is_every(each) for each in (one, another))
        if one.version != another.version:
            return self.has_both_versions or other.has_both_versions
        return one == another or one.is_unspecified or another.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | str:
    """Return an IP address; a host name as text, since its address depends on the machine."""
    try:
        return ipaddress.ip_address(_LOOPBACK if host.lower() == "localhost" else host)
    except ValueError:
        return host.lower()


def _is_every(address: ipaddress.IPv4Address | ipaddress.IPv6Address | str) -> bool:
    return not isinstance(address, str) and address.is_unspecified


def endpoints(settings: Tables) -> Iterator[Endpoint]:
    """Yield each address on which a part listens; none for a port that is not set."""
    receiver, web, stow, hl7 = settings.receiver, settings.web, settings.stow, settings.hl7
    for table, key, host, port in (
        ("receiver", "port", receiver.host, receiver.port),
        ("receiver", "tls_port", receiver.host, receiver.tls_port),
        ("web", "port", web.host, web.port),
        ("stow", "port", stow.host, stow.port),
        ("hl7", "port", hl7.host, hl7.port),
    ):
        if port is not None:
            yield Endpoint(table, key, host, port)


def port_conflicts(settings: Tables) -> Iterator[Conflict]:
    """Yield a conflict for each pair of endpoints that cannot both be bound."""
    for one, other in combinations(endpoints(settings), 2):
        if one.overlaps(other):
            message = (
                f"{one.name} and {other.name} are both {one.port}, at {_hosts(one, other)}: give each "
                "a port of its own"
            )
            keys = ((one.table, one.key), (other.table, other.key))
            yield Conflict(subject=(), message=message, keys=keys)


def _hosts(one: Endpoint, other: Endpoint) -> str:
    if one.host == other.host:
        return f"the same address {one.host}"
    return (
        f"addresses that overlap ({one.table}.host = {one.host}, {other.table}.host = {other.host})"
    )
