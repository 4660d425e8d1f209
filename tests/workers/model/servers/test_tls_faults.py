"""Connections that a wrong configuration prevents: host, cause and setting are named, once."""

import asyncio
import socketserver
import ssl
import subprocess
import threading

import pytest

from service.settings.site_networks import permitted
from workers.model.errors import ServerRefused, ServerUnavailable
from workers.model.servers.chat_client import ChatClient, Server
from workers.model.servers.retrying import RetryPolicy


def ask(url, **options):
    """Return the text of a completion."""
    server = Server(
        url=url,
        model="judge",
        retry=RetryPolicy(tries=3, first_seconds=0.01),
        permitted=permitted(allow_remote=False),
        **options,
    )

    async def run():
        async with ChatClient(server) as client:
            return (await client.complete([{"role": "user", "content": "?"}], {})).text

    return asyncio.run(run())


@pytest.fixture
def certificate(tmp_path, program):
    """A function that returns the files of a self-signed certificate and its key."""

    def make(name="localhost", days=2):
        key, made = tmp_path / f"{name}{days}.key", tmp_path / f"{name}{days}.pem"
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        named = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        files = ["-keyout", key, "-out", made]
        run = [program("openssl"), *new, *named, *files, "-days", str(max(days, 1))]
        subprocess.run(run, check=True, capture_output=True)
        if days < 1:
            again = ["x509", "-in", made, "-signkey", key, "-out", made, "-days", str(days)]
            subprocess.run([program("openssl"), *again], check=True, capture_output=True)
        return made, key

    return make


@pytest.fixture
def tls_server(scripted_server):
    """A function that starts a server with a certificate; returns the server and its URL."""

    def start(files, **asked):
        server = scripted_server(lambda _n, _body: server.chat("No."))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        for key, value in asked.items():
            setattr(context, key, value)
        if asked:
            context.load_verify_locations(files[0])
        server.socket = context.wrap_socket(server.socket, server_side=True)
        return server, f"https://localhost:{server.server_address[1]}/v1"

    return start


def test_a_certificate_that_is_not_accepted_is_a_refusal(tls_server, certificate):
    """The message names host, fault and setting; no request is sent."""
    files, expired, other = certificate(), certificate(days=-1), certificate("elsewhere")
    server, url = tls_server(files)
    assert ask(url, tls_ca=files[0]) == "No."
    with pytest.raises(ServerRefused, match=r"localhost:\d+: .*self-signed: set server_tls_ca"):
        ask(url)
    with pytest.raises(ServerRefused, match=r"self-signed: set judge\.tls_ca"):
        ask(url, keys="judge.")
    with pytest.raises(ServerRefused, match=r"another IP address.*server_url"):
        ask(url.replace("localhost", "127.0.0.1"), tls_ca=files[0])
    with pytest.raises(ServerRefused, match="has expired: renew it on the server"):
        ask(tls_server(expired)[1], tls_ca=expired[0])
    with pytest.raises(ServerRefused, match="for another host name"):
        ask(tls_server(other)[1], tls_ca=other[0])
    assert len(server.requests) == 1


def test_a_server_that_requires_a_client_certificate_is_named(tls_server, certificate):
    """With TLS 1.2 the handshake fails, with TLS 1.3 the first read after it."""
    files = certificate()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        _, url = tls_server(files, maximum_version=version, verify_mode=ssl.CERT_REQUIRED)
        with pytest.raises(ServerRefused, match="requires a client certificate"):
            ask(url, tls_ca=files[0])


class _Refusing(socketserver.BaseRequestHandler):
    def handle(self):
        """Answer bytes that are no HTTP as HTTP servers do."""
        self.request.recv(2**16)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def test_https_to_a_port_without_tls_is_named():
    """The server answers the handshake in plain HTTP."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ServerRefused, match=r"does not use TLS at this port: begin server_url"):
            ask(f"https://127.0.0.1:{server.server_address[1]}/v1")
        server.shutdown()


def test_http_to_a_port_with_tls_is_named(tls_server, certificate):
    """The server ends the connection; a handshake is then answered."""
    _, url = tls_server(certificate())
    with pytest.raises(ServerRefused, match=r"uses TLS at this port: begin server_url with https"):
        ask(url.replace("https:", "http:").replace("localhost", "127.0.0.1"))


def test_a_file_of_authorities_that_cannot_be_used_is_named(tmp_path):
    """A missing file, and one without a certificate."""
    with pytest.raises(ServerRefused, match=r"absent\.pem cannot be read .*server_tls_ca"):
        ask("https://127.0.0.1:1/v1", tls_ca=tmp_path / "absent.pem")
    (tmp_path / "empty.pem").write_text("none")
    with pytest.raises(ServerRefused, match=r"empty\.pem holds no usable certificate"):
        ask("https://127.0.0.1:1/v1", tls_ca=tmp_path / "empty.pem")


def test_a_plain_server_that_breaks_off_stays_unavailable(scripted_server):
    """The probe finds no TLS: the request may be repeated."""
    server = scripted_server(lambda _n, _body: b"")
    with pytest.raises(ServerUnavailable, match="broke off"):
        ask(server.url)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"API key is missing or wrong: set server_api_key"),
        (403, r"correct server_api_key or server_model"),
        (404, r"correct server_url .*/v1\) or server_model"),
    ],
)
def test_a_refusal_names_the_setting(scripted_server, status, message):
    """The setting that the administrator changes."""
    server = scripted_server(lambda _n, _body: server.json({}, status))
    with pytest.raises(ServerRefused, match=message):
        ask(server.url)


def test_no_connection_states_why_and_what_to_check(scripted_server):
    """A closed port, and a name that cannot be resolved."""
    server = scripted_server(lambda _n, _body: b"")
    server.stop()
    with pytest.raises(
        ServerUnavailable,
        match=r"connection refused; check that the server runs.*server_url.*firewall",
    ) as caught:
        ask(server.url)
    assert caught.value.outage
    with pytest.raises(ServerUnavailable, match=r"cannot be resolved; .*host and port"):
        ask("http://absent.invalid:8000/v1")
