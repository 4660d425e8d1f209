"""The networks that count as the site's own: loopback and private addresses.

Images and report texts go to servers there only, unless a table has `allow_remote = true`.
"""

import ipaddress
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# RFC 1122 3.2.1.3, RFC 1918, RFC 4291 2.5.3, RFC 4193. Link-local addresses are left out: those of cloud
# providers answer with credentials there.
_NETWORKS: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)


def in_site_networks(address: Address) -> bool:
    """Return whether an IP address is a loopback or private one."""
    return any(address in network for network in _NETWORKS)


def permitted(*, allow_remote: bool) -> Callable[[Address], bool]:
    """Return the check of a server's address: any, or loopback and private ones only."""
    return (lambda _address: True) if allow_remote else in_site_networks


def is_outside(url: str) -> bool:
    """Return whether a URL names an IP address outside these networks; False for a host name.

    A name is resolved and checked when the connection is made.
    """
    try:
        return not in_site_networks(ipaddress.ip_address(urlsplit(url).hostname or ""))
    except ValueError:
        return False
