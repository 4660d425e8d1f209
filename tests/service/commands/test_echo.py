"""`wetread echo`: a C-ECHO to a real Orthanc, and to an unused port."""

import json

import pytest
from click.testing import CliRunner

from dicom.errors import DestinationUnavailable, InvalidIdentifier
from service.commands.echo import echo
from service.errors import ConfigurationError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without a wetread.toml."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def archive(orthanc, monkeypatch):
    """An Orthanc as the destination `archive`."""
    destination = {
        "kind": "dimse",
        "name": "archive",
        "host": "127.0.0.1",
        "port": orthanc.dicom_port,
        "ae_title": orthanc.ae_title,
    }
    monkeypatch.setenv("WETREAD_DESTINATIONS", json.dumps([destination]))
    return orthanc


def run(*arguments):
    """Return what `wetread echo ARGUMENTS` prints."""
    result = CliRunner().invoke(echo, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.mark.orthanc
@pytest.mark.parametrize("peer", ["archive", "ORTHANC"])
def test_a_destination_answers_by_name_or_ae_title(archive, peer):
    """The answer names the peer and how long it took."""
    output = run(peer)
    assert output.startswith(f"ORTHANC@127.0.0.1:{archive.dicom_port} answered in ")


@pytest.mark.orthanc
def test_any_peer_answers_by_address(orthanc):
    """AE@HOST:PORT needs no configuration."""
    assert "answered" in run(f"ORTHANC@127.0.0.1:{orthanc.dicom_port}")


def test_no_listener_is_an_error_within_the_timeout(free_port):
    """The message states what to check."""
    with pytest.raises(DestinationUnavailable, match="check that it runs"):
        run(f"NOBODY@127.0.0.1:{free_port()}", "--timeout", "1")


def test_an_unknown_name_is_answered_with_those_that_are_known():
    """Neither a destination nor an address: both are explained."""
    with pytest.raises(ConfigurationError, match=r"neither AE@HOST:PORT nor .* none"):
        run("archive")


def test_an_address_of_ipv6_may_stand_in_brackets(free_port):
    """AE@[::1]:PORT names a host of IPv6; the error shows it without the brackets."""
    with pytest.raises(DestinationUnavailable, match="A at ::1:"):
        run(f"A@[::1]:{free_port()}")


def test_an_ae_title_that_is_too_long_is_reported_as_such():
    """Seventeen letters lead to a message, not to a traceback."""
    with pytest.raises(InvalidIdentifier, match="1 to 16 ASCII characters"):
        run("SEVENTEEN_LETTERS@127.0.0.1:104")


def test_a_destination_without_c_echo_is_reported_as_such(monkeypatch, tmp_path):
    """A folder has no C-ECHO; the message names the command that tests it."""
    folder = {"kind": "folder", "name": "out", "path": str(tmp_path)}
    monkeypatch.setenv("WETREAD_DESTINATIONS", json.dumps([folder]))
    with pytest.raises(
        ConfigurationError, match="kind folder, which has no C-ECHO: `wetread check`"
    ):
        run("out")
