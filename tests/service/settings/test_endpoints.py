"""Two parts of the service cannot listen on one address."""

import subprocess
import sys

import pytest

from service.errors import ConfigurationError
from service.settings.config import load_settings

EVERY = "0.0.0.0"  # noqa: S104 - compared, not bound
TLS = {"tls_certificate": "/c", "tls_key": "/k"}
NO_PORT = {"web": {"port": 0}, "receiver": {"port": 0}}


def refused(tmp_path, monkeypatch, **settings) -> str:
    """Return the message that these settings lead to, "" if they are accepted."""
    monkeypatch.chdir(tmp_path)
    try:
        load_settings(**settings)
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("settings", "one", "other"),
    [
        ({"receiver": {"port": 8100}}, "receiver.port", "web.port"),
        ({"receiver": {"tls_port": 8100, **TLS}}, "receiver.tls_port", "web.port"),
        (
            {"receiver": {"port": 2762, "tls_port": 2762, **TLS}},
            "receiver.port",
            "receiver.tls_port",
        ),
        ({"stow": {"port": 8100}}, "web.port", "stow.port"),
        ({"stow": {"port": 11112}}, "receiver.port", "stow.port"),
        (
            {"receiver": {"tls_port": 8443, **TLS}, "stow": {"port": 8443}},
            "receiver.tls_port",
            "stow.port",
        ),
    ],
)
def test_equal_ports_are_a_fault_that_names_both(tmp_path, monkeypatch, settings, one, other):
    """Each pair of parts."""
    assert f"{one} and {other} are both" in refused(tmp_path, monkeypatch, **settings)


@pytest.mark.parametrize(
    ("host", "other", "overlap"),
    [
        (EVERY, "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        (EVERY, "pacs.hospital", True),
        ("pacs.hospital", "PACS.hospital", True),
        ("::", "127.0.0.1", True),
        ("::", "::1", True),
        ("10.0.0.5", "127.0.0.1", False),
        ("10.0.0.5", "10.0.0.6", False),
        ("::1", "127.0.0.1", False),
        ("::1", EVERY, False),
        (EVERY, "::1", False),
    ],
)
def test_only_addresses_that_overlap_are_a_fault(tmp_path, monkeypatch, host, other, overlap):
    """Every interface overlaps each; two different addresses do not."""
    web = {"host": other, "port": 104, "plain_http": True}
    message = refused(tmp_path, monkeypatch, receiver={"host": host, "port": 104}, web=web)
    assert bool(message) is overlap
    if overlap:
        assert "receiver.port and web.port are both 104" in message


def test_a_free_port_is_no_fault(tmp_path, monkeypatch):
    """Each 0 takes a free port."""
    assert refused(tmp_path, monkeypatch, **NO_PORT, stow={"port": 0}) == ""


def test_up_does_not_start_with_two_ports_alike(tmp_path):
    """It ends with the message before any part is started; no folder is made."""
    (tmp_path / "wetread.toml").write_text("[receiver]\nport = 8100\n")
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "up"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "line 2: receiver.port and web.port are both 8100" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["wetread.toml"]
