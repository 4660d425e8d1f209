"""The listener over real sockets: frames, limits, answers, and a log without patients."""

import contextlib
import socket
import sqlite3
import ssl
import subprocess

import pytest
from hl7.client import MLLPClient

from service.final_reports.report import FinalState
from tests.hl7_messages import framed, header, line, message, order, patient, simple


def test_the_client_of_the_library_hl7_gets_its_answer(listening):
    """AA with the control ID; the report is in the database by then."""
    site = listening()
    with MLLPClient("127.0.0.1", site.port) as client:
        answer = client.send_message(simple("M1"))
    assert b"MSA|AA|M1|1 new, 1 in all" in answer
    assert site.store.final_report_counts() == {FinalState.UNLABELED: 1}
    assert site.results() == {"taken": 1}


def test_each_kind_of_message_is_answered(listening, connect):
    """AA with the reason for what is deliberately not used; AR names the segment, and no value."""
    site = listening()
    client = connect(site.port)
    ed = line("^application^pdf^Base64^JVBERi0=", kind="ED")
    expected = [
        (simple("1"), "AA", "1 new, 1 in all"),
        (simple("1"), "AA", "known already"),
        (simple("2"), "AA", "known already"),
        (simple("3", status="P"), "AA", "not used: preliminary (OBR-25, OBX-11)"),
        (message(header("4"), order("Z"), ed), "AA", "not used: no plain text in OBX of type"),
        (message(header("5", kind="ADT^A08"), "PID|1"), "AR", "MSH-9: is not ORU"),
        (message(header("6"), patient()), "AR", "OBR: the message has no such segment"),
        (message(header("7"), order(""), line("Secret.")), "AR", "OBR-18: is empty"),
        (message(header("8"), order(), "Secret|"), "AR", "segment 3: does not begin with"),
    ]
    for content, code, text in expected:
        _, *found = client.ask(content)
        assert (found[0], found[1]) == (code, content.split(b"|")[9].decode())
        assert found[2].startswith(text)
    assert client.ask(b"rubbish")[1:3] == ["AR", ""]
    assert site.results() == {
        "taken": 1,
        "known already": 2,
        "preliminary, not used": 1,
        "without readable text": 1,
        "refused": 5,
    }


def test_frames_that_are_split_joined_and_wrong(listening, connect, log):
    """The connection goes on after each; a message without its end is never taken."""
    site = listening()
    client = connect(site.port)
    client.send(*(bytes([each]) for each in framed(simple("1"))))
    assert client.answer()[1][1:3] == ["AA", "1"]
    client.send(framed(simple("2")) + framed(simple("3", accession="B")))
    assert [client.answer()[1][2] for _ in range(2)] == ["2", "3"]
    client.send(b"GARBAGE secret" + framed(simple("4")))
    assert client.answer()[1][1:3] == ["AA", "4"]
    client.send(b"\x0b" + simple("5", accession="LOST") + framed(simple("6")))
    assert client.answer()[1][1:3] == ["AA", "6"]
    assert site.store.final_report_counts() == {FinalState.UNLABELED: 2}
    assert log().count("hl7_framing_fault") == 2


def test_no_patient_and_no_text_is_in_the_log(listening, connect, log):
    """Whatever becomes of a message."""
    client = connect(listening().port)
    sent = [
        message(header("1"), patient("PID77"), order("ACC77"), line("Edema77.")),
        message(header("2"), patient("PID77"), order("ACC77", status="Q77"), line("Edema77.")),
        message(header("3"), patient("PID77"), order("ACC77" * 20), line("Edema77.")),
        message(header("4"), patient("PID77"), order("ACC77"), "Edema77."),
    ]
    assert [client.ask(each)[1] for each in sent] == ["AA", "AA", "AR", "AR"]
    client.send(b"\x0bMSH|PID77 ACC77 Edema77")
    client.close()
    assert "hl7_message_refused" in log()
    assert "77" not in log()


def test_a_message_that_is_too_long_is_refused_and_the_connection_closed(listening, connect):
    """AR with its control ID although it was not read to its end."""
    site = listening(max_message_bytes=2000)
    client = connect(site.port)
    client.send(framed(simple("BIG", "x" * 100_000)))
    assert client.answer()[1][1:4] == ["AR", "BIG", "the message is longer than 2000 bytes"]
    assert client.answer() == []
    assert site.results() == {"refused": 1}
    assert connect(site.port).ask(simple("2"))[1] == "AA"


@pytest.mark.parametrize("sent", [b"\x0bMSH|^~\\&|RIS", b"\x0b" + simple("1") + b"\r"])
def test_a_message_that_does_not_end_closes_the_connection(listening, connect, log, sent):
    """A slow sender, or one that sends no end; nothing is stored."""
    site = listening(message_seconds=0.3)
    client = connect(site.port)
    client.send(sent)
    assert client.answer() == []
    assert "hl7_message_too_slow" in log()
    assert site.store.final_report_counts() == {}


def test_a_connection_without_messages_is_closed(listening, connect):
    """After hl7.idle_seconds; garbage does not count."""
    client = connect(listening(idle_seconds=0.4).port)
    assert client.ask(simple())[1] == "AA"
    client.send(b"....")
    assert client.answer() == []


def test_a_sender_that_closes_within_a_message(listening, connect, log, eventually):
    """Logged; nothing is stored."""
    site = listening()
    client = connect(site.port)
    client.send(framed(simple())[:-2])
    client.socket.shutdown(socket.SHUT_WR)
    assert client.answer() == []
    eventually(lambda: "hl7_message_incomplete" in log(), seconds=10, what="the event")
    assert site.store.final_report_counts() == {}


def test_peers_and_connections_are_limited(listening, connect, log):
    """One of another network, and one too many, are closed at once."""
    assert connect(listening(peers=["10.0.0.0/8"]).port).answer() == []
    assert "not in hl7.peers" in log()
    port = listening(max_connections=1).port
    first = connect(port)
    assert first.ask(simple())[1] == "AA"
    assert connect(port).answer() == []
    assert first.ask(simple())[1] == "AA"


def test_while_the_database_is_away_the_answer_is_ae(listening, connect, database, log):
    """The same message is taken when it is back."""
    site = listening()
    client = connect(site.port)
    with contextlib.closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert client.ask(simple("1"))[1] == "AE"
    assert "hl7_message_not_stored" in log()
    assert client.ask(simple("1"))[1] == "AA"
    assert site.results() == {"not stored": 1, "taken": 1}


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """Certificate and key of a host, also for clients."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "own.pem", folder / "own.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    paths = ["-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run([*command, *names, *paths], check=True, capture_output=True)
    return files


def client_context(identity, *, has_certificate):
    """Return a context that trusts the host, with or without a client certificate."""
    context = ssl.create_default_context(cafile=identity[0])
    context.check_hostname = False  # the connection is by number
    if has_certificate:
        context.load_cert_chain(*identity)
    return context


def test_reports_by_tls(listening, connect, identity):
    """Answered as without it; two messages in one record, and a later one."""
    port = listening(tls_certificate=identity[0], tls_key=identity[1]).port
    client = connect(port, client_context(identity, has_certificate=False))
    client.send(framed(simple("1")) + framed(simple("2", "None.")))
    assert [client.answer()[1][1:3] for _ in range(2)] == [["AA", "1"], ["AA", "2"]]
    assert client.ask(simple("3"))[1:3] == ["AA", "3"]


def test_a_peer_without_tls_or_without_a_certificate_is_refused(listening, connect, identity, log):
    """And the next one, which has them, is served; no part of the message is in the log."""
    files = {"tls_certificate": identity[0], "tls_key": identity[1], "tls_client_ca": identity[0]}
    site = listening(**files)
    plain = connect(site.port)
    plain.send(framed(simple(text="secret")))
    with contextlib.suppress(ConnectionError):  # a TLS alert, or a reset
        while plain.socket.recv(4096):
            pass
    with contextlib.suppress(OSError):
        stranger = connect(site.port, client_context(identity, has_certificate=False))
        stranger.send(framed(simple(text="secret")))
        assert stranger.socket.recv(4096) == b""
    assert site.store.final_report_counts() == {}
    known = connect(site.port, client_context(identity, has_certificate=True))
    assert known.ask(simple())[1] == "AA"
    written = log()
    assert written.count("hl7_connection_refused") == 2
    assert "secret" not in written
