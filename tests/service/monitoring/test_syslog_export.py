"""The audit trail at a syslog server: a real rsyslog, by TCP and TLS, and servers that misbehave."""

import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from service.audit import AuditAction, AuditEvent
from service.monitoring.syslog_export import UNREACHABLE, SyslogExport
from service.settings.config import settings_of

PLAIN = """
module(load="imtcp" MaxSessions="20")
input(type="imtcp" port="{port}" address="127.0.0.1" SupportOctetCountedFraming="on")
"""
TLS = """
global(DefaultNetstreamDriver="gtls"
       DefaultNetstreamDriverCAFile="{ca}"
       DefaultNetstreamDriverCertFile="{certificate}"
       DefaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" port="{port}" address="127.0.0.1" SupportOctetCountedFraming="on")
"""
WRITE = """
global(workDirectory="{folder}" maxMessageSize="64k")
template(name="raw" type="string" string="%rawmsg-after-pri%\\n")
action(type="omfile" file="{folder}/received" template="raw")
"""


@dataclass(frozen=True)
class Files:
    """The TLS files of a server; its certificate is its own authority."""

    ca: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory, program):
    """A certificate for localhost, with its key."""
    folder = tmp_path_factory.mktemp("syslog-tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return Files(ca=certificate, certificate=certificate, key=key)


@pytest.fixture
def rsyslog(tmp_path, free_port, eventually, program):
    """A function that starts rsyslog with an input; it returns port and output file."""
    started = []
    folder = tmp_path / "rsyslog"
    folder.mkdir()

    def start(configuration, **values):
        port = free_port()
        file = folder / "rsyslog.conf"
        text = configuration.format(port=port, **values) + WRITE.format(folder=folder)
        file.write_text(text)
        command = [program("rsyslogd"), "-n", "-f", str(file), "-i", str(folder / "pid")]
        started.append(subprocess.Popen(command))
        eventually(lambda: _accepts(port), seconds=20, what="rsyslog")
        return port, folder / "received"

    yield start
    for process in started:
        process.terminate()
        process.wait(20)


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def export_to(store, port, **audit):
    """Return the export to a port of this machine."""
    given = {"syslog_host": "localhost", "syslog_port": port, "syslog_tls": False, **audit}
    return SyslogExport(store, settings_of({"audit": given, "site_name": "Klinikum Süd"}))


def record(store, count=1):
    """Append records."""
    for number in range(count):
        store.record_audit(
            AuditEvent(action=AuditAction.VIEWED, actor="kim", patient_id=f"P{number}")
        )


def messages(file):
    """Return the XML of each message that rsyslog wrote."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [ET.fromstring(line.partition("<?xml")[2].partition("?>")[2]) for line in lines]  # noqa: S314 - our own


def test_rsyslog_gets_each_record_once(store, rsyslog, eventually):
    """In order, whole, and nothing again after a restart of the export."""
    port, file = rsyslog(PLAIN)
    record(store, 150)
    export_to(store, port).try_to_send()
    eventually(lambda: len(messages(file)) == 150, seconds=20, what="messages")
    ids = [_patient(each) for each in messages(file)]
    assert ids == [f"P{number}" for number in range(150)]
    assert (
        messages(file)[0].find("AuditSourceIdentification").get("AuditSourceID") == "Klinikum Süd"
    )
    record(store)
    export_to(store, port).try_to_send()
    eventually(lambda: len(messages(file)) == 151, seconds=20, what="one more")


def _patient(message):
    objects = message.findall("ParticipantObjectIdentification")
    return next(
        each.get("ParticipantObjectID")
        for each in objects
        if each.get("ParticipantObjectTypeCode") == "1"
    )


@pytest.mark.parametrize("trusted", [True, False])
def test_rsyslog_by_tls(store, rsyslog, eventually, tls_files, trusted):
    """With its authority configured; without, nothing is sent and an incident says why."""
    files = tls_files
    port, file = rsyslog(TLS, ca=files.ca, certificate=files.certificate, key=files.key)
    record(store, 3)
    tls = {"syslog_tls": True, **({"tls_ca": str(files.ca)} if trusted else {})}
    export_to(store, port, **tls).try_to_send()
    if trusted:
        eventually(lambda: len(messages(file)) == 3, seconds=20, what="messages")
        return
    (incident,) = [each for each in store.incidents() if each.kind == UNREACHABLE]
    assert "certificate verify failed" in incident.detail
    assert store.audit_position("syslog") == 0


def test_a_server_that_is_away_loses_nothing(store, rsyslog, free_port, eventually):
    """Records wait; the incident ends when they were sent."""
    record(store, 2)
    export = export_to(store, free_port())
    export.try_to_send()
    export.try_to_send()
    assert [each.kind for each in store.incidents()] == [UNREACHABLE]
    port, file = rsyslog(PLAIN)
    export._audit = export._audit.model_copy(update={"syslog_port": port})
    export.try_to_send()
    eventually(lambda: len(messages(file)) == 2, seconds=20, what="messages")
    assert store.incidents() == []


def test_a_silent_server_stops_nothing(store):
    """It accepts and reads nothing: records are written meanwhile, and a stop does not wait."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(5):
            store.record_audit(
                AuditEvent(action=AuditAction.DECIDED, actor="kim", detail="d" * 400)
            )
        port = silent.getsockname()[1]
        export = export_to(store, port, syslog_tls=True, syslog_timeout=1.0)
        begun = time.monotonic()
        with export.running():
            time.sleep(3)
            record(store, 5)
        assert time.monotonic() - begun < 6
        assert len(list(store.whole_audit())) == 10
        assert store.audit_position("syslog") == 0


def test_a_server_that_closes_at_once_gets_the_records_later(store):
    """Bytes that were not read do not count as sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_all():
            for _ in range(1):
                connection, _ = server.accept()
                connection.close()

        thread = threading.Thread(target=close_all, daemon=True)
        thread.start()
        record(store)
        export_to(store, server.getsockname()[1]).try_to_send()
        thread.join(10)
    assert store.audit_position("syslog") == 0
    assert [each.kind for each in store.incidents()] == [UNREACHABLE]
