"""TLS to destinations: an Orthanc behind a server that speaks only TLS, by REST, STOW-RS and DICOM.

Debian's Orthanc 1.10.1 ends by a segmentation fault at its first HTTPS request, so TLS is ended before
it, as a reverse proxy of a hospital does.
"""

import contextlib
import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dicom.destinations.dicomweb import StowDestination
from dicom.destinations.dimse import DimseDestination
from dicom.destinations.http import HttpRoute
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import DestinationUnavailable
from dicom.network.client_tls import PeerTls
from dicom.scu.association import Peer

KINDS = ("rest", "stow", "dimse")


def openssl(*arguments) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@dataclass(frozen=True)
class Identity:
    """A certificate, its key, and its digest."""

    certificate: Path
    key: Path

    @property
    def sha256(self) -> str:
        """The digest of the certificate's DER form, as `tls_sha256` takes it."""
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        return hashlib.sha256(der).hexdigest()


def issue(folder: Path, name: str, host: str, by: Identity | None = None) -> Identity:
    """Return a new certificate for `host`, signed by `by` (by itself when None)."""
    made = Identity(folder / f"{name}.pem", folder / f"{name}.key")
    kind = "IP" if host[0].isdigit() else "DNS"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2)
    signer = ("-CA", by.certificate, "-CAkey", by.key) if by else ()
    named = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{host}")
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE") if by else ()
    files = ("-keyout", made.key, "-out", made.certificate)
    openssl("req", "-x509", *curve, *files, *named, *signer, *leaf)
    return made


@pytest.fixture(scope="module")
def identities(tmp_path_factory) -> dict[str, Identity]:
    """The hospital's authority, what it issued, and a stranger."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("identities")
    authority = issue(folder, "authority", "authority.test")
    return {
        "authority": authority,
        "server": issue(folder, "server", "127.0.0.1", authority),
        "elsewhere": issue(folder, "elsewhere", "pacs.test", authority),
        "wetread": issue(folder, "wetread", "wetread.test", authority),
        "stranger": issue(folder, "stranger", "127.0.0.1"),
    }


class TlsFront:
    """A server that ends TLS on a port of its own and passes the bytes on to another port."""

    def __init__(self, target: int, identity: Identity, client_ca: Path | None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(identity.certificate, identity.key)
        if client_ca is not None:
            self._context.load_verify_locations(client_ca)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            outside = self._context.wrap_socket(connection, server_side=True)
            with outside, socket.create_connection(("127.0.0.1", self._target)) as inside:
                back = threading.Thread(target=self._pass, args=(inside, outside), daemon=True)
                back.start()
                self._pass(outside, inside)
                back.join(10)

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Accept no further connection."""
        self._listener.close()


@dataclass(frozen=True)
class Archive:
    """An Orthanc that is reached by TLS only."""

    port: int
    dicom_port: int


@pytest.fixture
def start_archive(orthanc, identities):
    """A function that starts a TLS server before Orthanc, with the named certificate."""
    fronts = []

    def start(name: str = "server", *, mutual: bool = False) -> Archive:
        client_ca = identities["authority"].certificate if mutual else None
        http, dicom = (
            TlsFront(port, identities[name], client_ca)
            for port in (orthanc.port, orthanc.dicom_port)
        )
        fronts.extend((http, dicom))
        return Archive(http.port, dicom.port)

    yield start
    for front in fronts:
        front.close()


def destination(kind: str, server, tls: PeerTls, *, proxy: str | None = None):
    """Return a destination of one kind that reaches the server by TLS."""
    route = HttpRoute(tls=tls, proxy=proxy)
    url = f"https://127.0.0.1:{server.port}"
    if kind == "rest":
        return OrthancDestination(name="pacs", url=url, timeout=10, route=route)
    if kind == "stow":
        return StowDestination(name="pacs", url=f"{url}/dicom-web", timeout=10, route=route)
    peer = Peer(
        name="pacs",
        host="127.0.0.1",
        port=server.dicom_port,
        called="ORTHANC",
        timeout=10,
        tls=tls,
    )
    return DimseDestination(peer, verify=True)


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_of_the_configured_authority_is_trusted(start_archive, identities, kind):
    """`tls_ca` is enough; the system's authorities need not include the hospital's."""
    destination(kind, start_archive(), PeerTls(ca=identities["authority"].certificate)).probe()


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_authority_is_refused_with_the_setting_that_helps(start_archive, kind):
    """Without `tls_ca` the sentence names it; the delivery is tried again later."""
    with pytest.raises(
        DestinationUnavailable, match=r"authority that is not trusted here: .*tls_ca"
    ):
        destination(kind, start_archive(), PeerTls()).probe()


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", KINDS)
def test_the_authorities_of_the_environment_do_not_count(
    start_archive, identities, monkeypatch, kind
):
    """REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE change nothing: the settings alone decide."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(identities["authority"].certificate))
    with pytest.raises(DestinationUnavailable, match="not trusted here"):
        destination(kind, start_archive(), PeerTls()).probe()


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_for_another_name_is_refused(start_archive, identities, kind):
    """The authority alone is not enough: the name must be that of the host."""
    tls = PeerTls(ca=identities["authority"].certificate)
    with pytest.raises(DestinationUnavailable, match=r"is for another (IP address|host name)"):
        destination(kind, start_archive("elsewhere"), tls).probe()


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", KINDS)
def test_a_pinned_certificate_is_accepted_and_no_other(start_archive, identities, kind):
    """`tls_sha256` alone accepts exactly that certificate, of any issuer and for any name."""
    server = start_archive("elsewhere")
    destination(kind, server, PeerTls(sha256=identities["elsewhere"].sha256)).probe()
    with pytest.raises(DestinationUnavailable, match=r"not that of tls_sha256|[Ff]ingerprint"):
        destination(kind, server, PeerTls(sha256=identities["server"].sha256)).probe()


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", KINDS)
def test_a_pin_does_not_replace_the_authority(start_archive, identities, kind):
    """With both settings both conditions must hold."""
    tls = PeerTls(ca=identities["stranger"].certificate, sha256=identities["server"].sha256)
    with pytest.raises(DestinationUnavailable, match="not trusted here"):
        destination(kind, start_archive(), tls).probe()


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", KINDS)
def test_our_certificate_is_shown_to_a_peer_that_asks(start_archive, identities, kind):
    """With certificate and key a mutual handshake succeeds; without them it fails."""
    server = start_archive(mutual=True)
    ca, ours = identities["authority"].certificate, identities["wetread"]
    shown = PeerTls(ca=ca, certificate=ours.certificate, key=ours.key)
    destination(kind, server, shown).probe()
    with pytest.raises(DestinationUnavailable):
        destination(kind, server, PeerTls(ca=ca)).probe()


@pytest.mark.orthanc
def test_plain_dicom_at_a_tls_setting_is_named(orthanc, identities):
    """A peer that speaks plain DICOM is reported."""
    peer = Peer(
        name="pacs",
        host="127.0.0.1",
        port=orthanc.dicom_port,
        called="ORTHANC",
        timeout=5,
        tls=PeerTls(ca=identities["authority"].certificate),
    )
    with pytest.raises(DestinationUnavailable, match="pacs"):
        DimseDestination(peer).probe()


class _Proxy(BaseHTTPRequestHandler):
    """A proxy that records requests and refuses them."""

    seen: list[str]

    def refuse(self) -> None:
        """Answer 502 and note the request."""
        self.server.seen.append(self.requestline)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_error(502)

    do_GET = do_POST = do_CONNECT = refuse  # noqa: N815 - names of http.server

    def log_message(self, *_arguments) -> None:
        """Write nothing."""


@pytest.fixture
def proxy():
    """A proxy on loopback; `seen` holds the requests that reached it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def plain(kind: str, orthanc, route: HttpRoute):
    """Return a destination that reaches an Orthanc by plain HTTP."""
    if kind == "rest":
        return OrthancDestination(name="pacs", url=orthanc.url, timeout=10, route=route)
    return StowDestination(name="pacs", url=orthanc.dicomweb_url, timeout=10, route=route)


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", ["rest", "stow"])
def test_a_proxy_of_the_environment_is_not_used(orthanc, proxy, monkeypatch, kind):
    """Patients' data do not go to a proxy that is not configured for the destination."""
    address = f"http://127.0.0.1:{proxy.server_port}"
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    plain(kind, orthanc, HttpRoute()).probe()
    assert proxy.seen == []


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", ["rest", "stow"])
def test_a_configured_proxy_is_used(orthanc, proxy, kind):
    """`proxy` sends every request there."""
    route = HttpRoute(proxy=f"http://127.0.0.1:{proxy.server_port}")
    with pytest.raises(DestinationUnavailable, match="502"):
        plain(kind, orthanc, route).probe()
    assert proxy.seen


PASSWORDS = {"german": "Grüße", "euro": "dollar$ and euro€", "russian": "пароль", "chinese": "密码"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, orthanc_server_class):
    """An Orthanc with a user for each password."""
    with orthanc_server_class(tmp_path_factory.mktemp("guarded"), users=PASSWORDS) as server:
        yield server


@pytest.mark.orthanc
@pytest.mark.parametrize("user", PASSWORDS)
@pytest.mark.parametrize("kind", ["rest", "stow"])
def test_a_password_may_be_in_any_script(guarded, kind, user):
    """User name and password are sent as UTF-8 (RFC 7617), which Orthanc expects."""
    options = {"username": user, "password": PASSWORDS[user], "timeout": 10, "name": "pacs"}
    if kind == "rest":
        OrthancDestination(url=guarded.url, **options).probe()
    else:
        StowDestination(url=guarded.dicomweb_url, **options).probe()
