"""What `wetread check` reports about a port: free, ours, another program's, not of this machine."""

import socket
import subprocess
import sys

import pytest

from service.checks.check import Grade
from service.checks.ports import port_checks
from service.settings.config import as_environment, child_environment, load_settings
from tests.databases import make_database


def outcome(key, **settings):
    """Return what is reported about the port that `key` names."""
    checks = {check.what: check for check in port_checks(load_settings(**settings))}
    return checks[key].probe()


def test_a_free_port_is_reported_as_free(free_port):
    """Nothing listens there afterwards either."""
    port = free_port()
    found = outcome("web.port", web={"port": port})
    assert (found.grade, "is free" in found.detail) == (Grade.OK, True)
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize("key", ["receiver.port", "web.port", "stow.port", "hl7.port"])
def test_another_program_is_named_with_its_process(key):
    """A fault: which program, which process, which key to change."""
    section = key.partition(".")[0]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = outcome(key, **{section: {"host": "127.0.0.1", "port": port}})
    assert found.grade is Grade.FAULT
    assert f"{port} is in use by another program" in found.detail
    assert f"set {key} to a free port" in found.detail


def test_the_service_itself_may_have_the_port(tmp_path, free_port, eventually):
    """While `wetread web` runs, its port is no fault for its site, and is one for another site."""
    web = {"web": {"port": free_port()}, "data_dir": str(tmp_path)}
    make_database(load_settings(**web).database_url)
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", "web"],
        env=child_environment(**as_environment(web)),
        cwd=tmp_path,
    ) as process:
        try:
            eventually(
                lambda: "is free" not in outcome("web.port", **web).detail,
                seconds=30,
                what="the page",
            )
            found = outcome("web.port", **web)
            copy = web | {"data_dir": str(tmp_path / "copy")}
            other = outcome("web.port", **copy)
            up = subprocess.run(
                [sys.executable, "-m", "service.cli", "up"],
                env=child_environment(**as_environment(copy)),
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
            )
        finally:
            process.terminate()
    assert found.grade is Grade.OK
    assert found.detail.endswith("is in use by this service")
    # Another site, for example one that was restored beside the original, must not start in part.
    sentence = f"in use by another Wetread, whose data_dir is {tmp_path}: "
    assert (other.grade, sentence in other.detail) == (Grade.FAULT, True)
    assert up.returncode == 1
    assert "web.port: port" in up.stderr
    assert sentence in up.stderr
    assert not (tmp_path / "copy").exists()


def test_an_address_of_another_machine_is_a_warning():
    """That part may run on another host (198.51.100.1 is kept for examples, RFC 5737)."""
    found = outcome("receiver.port", receiver={"host": "198.51.100.1"})
    assert found.grade is Grade.WARNING
    assert "not an address of this machine" in found.detail


def test_a_port_that_is_chosen_at_the_start_is_not_looked_at():
    """Port 0 takes a free port; a port that is not set is not checked."""
    settings = load_settings(web={"port": 0}, receiver={"port": 0})
    assert list(port_checks(settings)) == []
