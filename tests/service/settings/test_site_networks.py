"""Which addresses count as the site's own."""

import ipaddress

import pytest

from service.settings.site_networks import in_site_networks, is_outside, permitted


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("127.0.0.1", True),
        ("10.255.0.1", True),
        ("172.16.0.1", True),
        ("172.32.0.1", False),
        ("192.168.1.1", True),
        ("169.254.169.254", False),
        ("8.8.8.8", False),
        ("::1", True),
        ("fd00::1", True),
        ("2001:db8::1", False),
        ("fe80::1", False),
    ],
)
def test_loopback_and_private_addresses(address, inside):
    """RFC 1918, RFC 4193; link-local ones are not."""
    given = ipaddress.ip_address(address)
    assert in_site_networks(given) is inside
    assert permitted(allow_remote=False)(given) is inside
    assert permitted(allow_remote=True)(given)


@pytest.mark.parametrize(
    ("url", "outside"),
    [
        ("http://8.8.8.8/v1", True),
        ("http://10.0.0.1:8000", False),
        ("http://[2001:db8::1]/", True),
        ("http://server/v1", False),
        ("http://[broken", False),
    ],
)
def test_a_url_with_an_address(url, outside):
    """A name is checked when the connection is made."""
    assert is_outside(url) is outside
