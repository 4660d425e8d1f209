"""Messages to real servers with TLS: SMTPS, and the payloads of Teams, Slack and Mattermost."""

import json
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default as email_policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from service.monitoring.alert_text import Message
from service.monitoring.apprise_sender import NotSent, send
from service.settings.keys.notify import NotifyTarget
from tests.service.sweeper.test_notifier import Mailbox

SLACK = "hooks.slack.com"
MESSAGE = Message("Wetread (Klinikum): Results do not reach a destination", "pacs: It is <away>.")


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory):
    """A certificate for 127.0.0.1 and Slack's host, which is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", f"subjectAltName=IP:127.0.0.1,DNS:{SLACK}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def trusted(tls_files, monkeypatch):
    """The certificate is trusted, as at a site with an authority of its own."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tls_files[0]))


def server_context(files):
    """Return the TLS settings of a server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    return context


@contextmanager
def serving(server):
    """Run a server in a thread."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def receiver(tls_files):
    """An HTTPS server that keeps path and JSON of each request."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = server_context(tls_files).wrap_socket(server.socket, server_side=True)
    server.got = got
    with serving(server):
        yield server


@pytest.fixture
def proxy(receiver):
    """A proxy of the site that leads every host to the receiver; it keeps the hosts."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            with socket.create_connection(receiver.server_address) as there:
                back = threading.Thread(target=pump, args=(there, self.connection))
                back.start()
                pump(self.connection, there)
                back.join(10)

        def log_message(self, *_):
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = asked
    with serving(server):
        yield server


def pump(source, sink):
    """Copy bytes until the source ends."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def sent(url):
    """Send the message to a URL."""
    send(NotifyTarget(name="x", url=SecretStr(url)), MESSAGE, 5.0)


@contextmanager
def smtps(files):
    """Run an SMTP server with implicit TLS (RFC 8314); yield its port and mailbox."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    context = server_context(files)
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=port, ssl_context=context)
    controller.start()
    try:
        yield port, controller.handler
    finally:
        controller.stop()


def test_mail_goes_over_smtps_to_a_trusted_server_only(tls_files, monkeypatch):
    """The server takes nothing but TLS from the first byte; its certificate is verified."""
    with smtps(tls_files) as (port, mailbox):
        url = (
            f"mailtos://127.0.0.1:{port}?smtp=127.0.0.1&mode=ssl"
            "&from=wetread@klinik.example&to=it@klinik.example"
        )
        with pytest.raises(NotSent):
            sent(url)
        assert mailbox.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tls_files[0]))
        sent(url)
    [(_, envelope)] = mailbox.got
    mail = message_from_bytes(envelope.content, policy=email_policy)
    assert envelope.rcpt_tos == ["it@klinik.example"]
    assert mail["Subject"] == MESSAGE.title
    assert "pacs: It is <away>." in mail.get_body(("plain",)).get_content()


@pytest.mark.usefixtures("trusted")
def test_teams_gets_an_adaptive_card(receiver):
    """The workflow of Power Automate takes an attachment of this content type."""
    sent(f"workflows://127.0.0.1:{receiver.server_port}/flow1/signature1")
    [(path, body)] = receiver.got
    assert path.startswith("/workflows/flow1/triggers/manual/paths/invoke?")
    assert "sig=signature1" in path
    [attachment] = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert card["type"] == "AdaptiveCard"
    texts = [each["text"] for each in card["body"] if each["type"] == "TextBlock"]
    assert MESSAGE.title in texts
    assert any("pacs: It is" in each for each in texts)


@pytest.mark.usefixtures("trusted")
def test_slack_gets_its_attachment_through_the_proxy_of_the_site(receiver, proxy, monkeypatch):
    """Its host is fixed: a proxy leads there. The webhook's path is in the request, encrypted."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    sent("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    assert proxy.asked == [f"{SLACK}:443"]
    [(path, body)] = receiver.got
    assert path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    [attachment] = body["attachments"]
    assert attachment["title"] == MESSAGE.title
    assert "pacs: It is" in attachment["text"]


@pytest.mark.usefixtures("trusted")
def test_mattermost_gets_a_text(receiver):
    """Its own host may be named."""
    sent(f"mmosts://127.0.0.1:{receiver.server_port}/hook1")
    [(path, body)] = receiver.got
    assert path == "/hooks/hook1"
    assert MESSAGE.title in body["text"]


def test_an_https_receiver_that_is_not_trusted_gets_nothing(receiver):
    """Its certificate is verified."""
    with pytest.raises(NotSent):
        sent(f"mmosts://127.0.0.1:{receiver.server_port}/hook1")
    assert receiver.got == []
