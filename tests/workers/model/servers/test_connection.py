"""Only permitted addresses are connected to, for any resolution of a name."""

import asyncio
import ipaddress

import pytest

from service.settings.site_networks import in_site_networks, is_outside, permitted
from workers.model.errors import ServerRefused
from workers.model.servers.connection import PermittedBackend


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "::1",
        "fd00::1",
    ],
)
def test_loopback_and_private_addresses_are_of_the_site(address):
    """RFC 1122, 1918, 4193, 4291."""
    assert in_site_networks(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.32.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "192.0.2.1",  # noqa: S104 - refused
     "2001:db8::1", "fe80::1", "::"],
)  # fmt: skip
def test_other_addresses_are_not(address):
    """Public, link-local (where clouds serve credentials), shared, documentation, unspecified."""
    assert not in_site_networks(ipaddress.ip_address(address))


def connect(host, *, allow_remote=False, timeout=2.0):
    """Connect to a host's port 9."""
    backend = PermittedBackend(permitted(allow_remote=allow_remote))
    return asyncio.run(backend.connect_tcp(host, 9, timeout))


@pytest.mark.parametrize(
    "host", ["203.0.113.7", "169.254.169.254", "::ffff:203.0.113.7", "2001:db8::1"]
)
def test_a_forbidden_address_is_not_connected_to(host):
    """Also as an IPv4-mapped IPv6 address; the message names the setting."""
    with pytest.raises(
        ServerRefused, match=r"outside the loopback and private networks.*allow_remote"
    ):
        connect(host)


def test_a_name_is_checked_by_what_it_resolves_to(monkeypatch):
    """A name of a public address is refused at the connection, without any packet."""

    async def public(_host, port, **_options):
        return [(2, 1, 6, "", ("203.0.113.7", port))]

    monkeypatch.setattr("anyio.getaddrinfo", public)
    with pytest.raises(ServerRefused, match=r"judge.example \(203.0.113.7\)"):
        connect("judge.example")


def test_an_ipv4_mapped_loopback_address_is_of_the_site(scripted_server):
    """It is the IPv4 address."""
    server = scripted_server(lambda _n, _body: b"")
    backend = PermittedBackend(permitted(allow_remote=False))

    async def run():
        stream = await backend.connect_tcp("::ffff:127.0.0.1", server.server_address[1], 2.0)
        await stream.aclose()

    asyncio.run(run())


def test_a_url_with_a_literal_address_is_judged_before_any_connection():
    """A host name is not: it is resolved when the connection is made."""
    assert is_outside("http://8.8.8.8/v1")
    assert is_outside("http://[2001:db8::1]:8000/v1")
    assert not is_outside("http://[::1]:8000/v1")
    assert not is_outside("https://10.0.0.3/v1")
    assert not is_outside("http://gpu-box/v1")
