import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.refusals import Cause
from dicom.scp.server_tls import TlsFiles
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool


class Keeper:
    """A StorageHandler that accepts and counts everything."""

    def __init__(self) -> None:
        self.count = 0

    def admit(self, association):
        """Admit it."""

    def unavailable(self, association):
        """Always ready."""

    def record(self, arrived):
        """Count them."""
        self.count += len(arrived)
        return [None for _ in arrived]

    def association_ended(self, association, outcome):
        """Do nothing."""


def openssl(*arguments) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """Return certificate and key of a new authority's own, self-signed."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2)
    named = ("-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl("req", "-x509", *curve, "-keyout", key, "-out", certificate, *named)
    return certificate, key


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    """Certificates and keys of the receiver, a modality and a stranger."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("identities")
    return {name: certify(folder, name) for name in ("receiver", "renewed", "modality", "stranger")}


@pytest.fixture
def keeper():
    """The handler that counts the images."""
    return Keeper()


@pytest.fixture
def start(tmp_path, identities, keeper):
    """A function that starts an SCP with a plain and a TLS port."""
    servers = []

    def make(
        *, mutual: bool = False, fast: bool = True, plain: bool = True, report=lambda _: None
    ) -> tuple[StorageSCP, TlsFiles]:
        files = TlsFiles(
            certificate=tmp_path / "own.pem",
            key=tmp_path / "own.key",
            client_ca=identities["modality"][0] if mutual else None,
        )
        shutil.copy(identities["receiver"][0], files.certificate)
        shutil.copy(identities["receiver"][1], files.key)
        settings = ScpSettings(
            ae_title="WETREAD",
            host="127.0.0.1",
            port=0 if plain else None,
            fast=fast,
            tls=files,
            request_seconds=3,
            max_associations=16,
        )
        server = StorageSCP(settings, Spool(tmp_path / "spool"), keeper, report=report)
        server.start()
        servers.append(server)
        return server, files

    yield make
    for server in servers:
        server.stop(2)


def connect(server: StorageSCP, **limits) -> ssl.SSLSocket:
    """Return a TLS connection that trusts any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in limits.items():
        if name == "ciphers":
            context.set_ciphers(value)
        else:
            setattr(context, name, value)
    plain = socket.create_connection(("127.0.0.1", server.tls_port), 10)
    return context.wrap_socket(plain)


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
def test_images_come_over_tls_and_beside_it(start, keeper, dcmtk, identities, shared_data, fast):
    """DCMTK stores over TLS, anonymously, and over the plain port of the same receiver."""
    server, _ = start(fast=fast)
    image = shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"
    trust = ("+cf", identities["receiver"][0])
    sent = dcmtk("storescu", "+tla", *trust, "-aec", "WETREAD", "127.0.0.1", server.tls_port, image)
    assert sent.returncode == 0, sent.stderr
    assert dcmtk("storescu", "-aec", "WETREAD", "127.0.0.1", server.port, image).returncode == 0
    assert keeper.count == 2


def test_with_an_authority_set_a_peer_must_be_known(start, keeper, dcmtk, identities, shared_data):
    """The modality's certificate is accepted; one of an unknown authority and none are not."""
    server, _ = start(mutual=True)
    image = shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"

    def send(*how) -> int:
        trust = ("+cf", identities["receiver"][0])
        call = (*how, *trust, "-aec", "WETREAD", "127.0.0.1", server.tls_port, image)
        return dcmtk("storescu", *call).returncode

    def own(name: str) -> tuple:
        certificate, key = identities[name]
        return ("+tls", key, certificate)

    assert send(*own("modality")) == 0
    assert send(*own("stranger")) != 0
    assert send("+tla") != 0
    assert keeper.count == 1


def test_old_versions_and_weak_ciphers_are_refused(start):
    """TLS 1.2 with forward secrecy is the least; 1.3 is taken."""
    server, _ = start()
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with (
        pytest.warns(DeprecationWarning, match="TLSv1"),
        pytest.raises(OSError, match=r"(?i)ssl|tls"),
    ):
        connect(server, **old, ciphers="ALL:@SECLEVEL=0")
    modern = {"maximum_version": ssl.TLSVersion.TLSv1_2}
    with pytest.raises(OSError, match=r"(?i)ssl|tls"):
        connect(server, **modern, ciphers="AES128-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0")
    with connect(server, **modern) as connection:
        assert connection.version() == "TLSv1.2"
        assert connection.cipher()[0].startswith("ECDHE-ECDSA-AES")
    with connect(server) as connection:
        assert connection.version() == "TLSv1.3"


def test_a_new_certificate_is_taken_without_ending_an_association(start, identities, dcmtk):
    """Open connections stay; new ones get the new certificate; a broken file changes nothing."""
    server, files = start()
    open_before = connect(server)
    first = open_before.getpeercert(binary_form=True)
    files.key.write_bytes(b"half a key")
    with connect(server) as during:
        assert during.getpeercert(binary_form=True) == first
    shutil.copy(identities["renewed"][0], files.certificate)
    shutil.copy(identities["renewed"][1], files.key)
    with connect(server) as after:
        assert after.getpeercert(binary_form=True) != first
    # An invalid association request, but its answer arrives over the old connection.
    open_before.sendall(bytes([9] * 20))
    open_before.settimeout(5)
    assert open_before.recv(100)[:1] == b"\x07"
    open_before.close()
    trust = ("+cf", identities["renewed"][0])
    assert (
        dcmtk("echoscu", "+tla", *trust, "-aec", "WETREAD", "127.0.0.1", server.tls_port).returncode
        == 0
    )


@pytest.mark.serial
def test_who_stalls_in_the_handshake_blocks_no_other(start, identities, dcmtk):
    """Forty connections that begin TLS and stop: the next association is served, they are closed."""
    server, _ = start()
    stalled = []
    for _ in range(40):
        connection = socket.create_connection(("127.0.0.1", server.tls_port), 5)
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        stalled.append(connection)
    trust = ("+cf", identities["receiver"][0])
    begun = time.monotonic()
    call = ("+tla", *trust, "-aec", "WETREAD", "127.0.0.1", server.tls_port)
    assert dcmtk("echoscu", *call).returncode == 0
    assert time.monotonic() - begun < 2.5
    with ThreadPoolExecutor(40) as threads:

        def is_closed(connection: socket.socket) -> bool:
            connection.settimeout(8)
            try:
                return connection.recv(100) == b""
            except ConnectionResetError:
                return True

        assert all(threads.map(is_closed, stalled))


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
def test_a_receiver_may_have_the_tls_port_only(start, keeper, dcmtk, identities, shared_data, fast):
    """DCMTK stores over TLS; nothing listens for plain DICOM; the stop is in order."""
    server, _ = start(fast=fast, plain=False)
    assert server.port == 0
    image = shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"
    trust = ("+cf", identities["receiver"][0])
    sent = dcmtk("storescu", "+tla", *trust, "-aec", "WETREAD", "127.0.0.1", server.tls_port, image)
    assert sent.returncode == 0, sent.stderr
    assert keeper.count == 1
    assert not server.has_stopped_listening
    port = server.tls_port
    server.stop(2)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 2)


def _plain_dicom(port, _identities):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"\1\0\0\0\0\x44" + bytes(68))
        with contextlib.suppress(ConnectionResetError):
            connection.recv(100)


def _http(port, _identities):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            connection.recv(100)


def _handshake(port, prepare):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    prepare(context)
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.recv(100)


def _no_certificate(port, _identities):
    _handshake(port, lambda _: None)


def _foreign_certificate(port, identities):
    _handshake(port, lambda context: context.load_cert_chain(*identities["stranger"]))


def _distrust(port, _identities):
    def prepare(context):
        context.check_hostname, context.verify_mode = True, ssl.CERT_REQUIRED

    _handshake(port, prepare)


def _old_version(port, _identities):
    def prepare(context):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")

    _handshake(port, prepare)


def _half_a_handshake(port, _identities):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("attempt", "cause", "expected"),
    [
        (_plain_dicom, Cause.NOT_TLS, "it sent plain DICOM to the TLS port"),
        (_http, Cause.NOT_TLS, "it sent something other than TLS to the TLS port"),
        (_no_certificate, Cause.NO_CERTIFICATE, "it sent no client certificate"),
        (_foreign_certificate, Cause.UNKNOWN_AUTHORITY, "not from receiver.tls_client_ca"),
        (_distrust, Cause.UNKNOWN_AUTHORITY, "it does not trust our certificate"),
        (_old_version, Cause.TLS_FAILED, "it offers no TLS version from 1.2 on"),
        (_half_a_handshake, Cause.TLS_FAILED, "it aborted the TLS handshake"),
    ],
)
def test_a_tls_failure_states_which(start, identities, caplog, attempt, cause, expected):
    """One log line with the cause as text, and one report."""
    reports = []
    server, _ = start(mutual=True, report=reports.append)
    attempt(server.tls_port, identities)
    end = time.monotonic() + 10
    while not reports and time.monotonic() < end:
        time.sleep(0.01)
    assert [each.cause for each in reports] == [cause]
    assert reports[0].address == "127.0.0.1"
    assert sum(expected in line.message for line in caplog.records) == 1
