"""The client of OpenAI-compatible servers against a server with faults."""

import asyncio
import ssl
import subprocess
import time

import pytest

from service.settings.site_networks import permitted
from workers.model.errors import ServerRefused, ServerUnavailable
from workers.model.servers.chat_client import ChatClient, Server
from workers.model.servers.retrying import RetryPolicy

QUICK = RetryPolicy(tries=3, first_seconds=0.01)
MESSAGES = [{"role": "user", "content": "Is the heart enlarged?"}]


def ask(url, *, stream=False, times=1, **options):
    """Return the completions of equal requests that are sent at once."""
    options = {
        "model": "judge",
        "retry": QUICK,
        "permitted": permitted(allow_remote=False),
    } | options

    async def run():
        async with ChatClient(Server(url=url, **options)) as client:
            asked = (
                client.complete(MESSAGES, {"max_tokens": 9}, stream=stream) for _ in range(times)
            )
            return await asyncio.gather(*asked)

    found = asyncio.run(run())
    return found[0] if times == 1 else found


def test_a_request_holds_what_was_given_and_nothing_else(scripted_server):
    """No user agent, no cookie; the key as a bearer token; the body as the API has it."""
    server = scripted_server(lambda _n, _body: server.chat("No."))
    answer = ask(server.url, api_key="k3y")
    assert (answer.text, answer.finish_reason, answer.model) == ("No.", "stop", "judge")
    assert (answer.prompt_tokens, answer.completion_tokens) == (1300, 60)
    head = server.requests[0].partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("POST /v1/chat/completions HTTP/1.1")
    names = {line.partition(":")[0].lower() for line in head.split("\r\n")[1:]}
    assert names == {"host", "content-type", "content-length", "accept-encoding", "authorization"}
    assert "Bearer k3y" in head
    assert server.bodies == [
        {"model": "judge", "messages": MESSAGES, "max_tokens": 9, "stream": False}
    ]


def test_a_streamed_answer_is_put_together(scripted_server):
    """The pieces in order, with the reason of its end."""
    server = scripted_server(lambda _n, _body: server.events(["The heart ", "is", " large."]))
    answer = ask(server.url, stream=True)
    assert (answer.text, answer.finish_reason) == ("The heart is large.", "stop")
    assert server.bodies[0]["stream"] is True


def test_pieces_cut_anywhere_give_the_same_text(scripted_server):
    """An event, and a character of UTF-8, may be split between two reads."""
    whole = "Herz vergrößert – «ja»"

    def bytewise(_n, _body):
        for piece in server.events([whole]):
            for byte in piece:
                yield bytes([byte])

    server = scripted_server(bytewise)
    assert ask(server.url, stream=True).text == whole


def test_a_server_that_does_not_stream_is_read_all_the_same(scripted_server):
    """It answers a request for a stream with one JSON object."""
    server = scripted_server(lambda _n, _body: server.chat("No."))
    assert ask(server.url, stream=True).text == "No."


def test_a_text_in_parts_is_joined(scripted_server):
    """Some servers answer with a list of parts."""
    parts = [{"type": "text", "text": "The heart "}, {"type": "text", "text": "is large."}]
    server = scripted_server(lambda _n, _body: server.chat(parts))
    assert ask(server.url).text == "The heart is large."


def test_temporary_failures_are_repeated(scripted_server):
    """A 500, then half an answer, then the answer."""

    def script(n, _body):
        return [server.whole(500), server.chat("No.")[:-20], server.chat("No.")][n]

    server = scripted_server(script)
    assert ask(server.url).text == "No."
    assert len(server.requests) == 3


def test_retry_after_is_followed(scripted_server):
    """429 with Retry-After: 1: the next request comes a second later, not after our own short wait."""
    times = []

    def script(n, _body):
        times.append(time.monotonic())
        return server.chat("No.") if n else server.json({}, 429, "Retry-After: 1")

    server = scripted_server(script)
    assert ask(server.url).text == "No."
    assert 1.0 <= times[1] - times[0] < 10


def test_too_long_a_retry_after_ends_the_request(scripted_server):
    """A server that asks for an hour is not waited for."""
    server = scripted_server(lambda _n, _body: server.json({}, 429, "Retry-After: 3600"))
    with pytest.raises(ServerUnavailable, match="429: too many requests"):
        ask(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_a_failure_that_stays_ends_after_all_tries(scripted_server, status):
    """The error names the host, the status and the number of tries."""
    server = scripted_server(lambda _n, _body: server.json({"error": "overloaded"}, status))
    with pytest.raises(ServerUnavailable, match=rf"answered {status}.*tried 3 times") as caught:
        ask(server.url)
    assert len(server.requests) == 3
    assert "overloaded" in caught.value.detail
    assert "overloaded" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 301])
def test_a_refusal_is_not_repeated(scripted_server, status):
    """One request only; a redirect is a refusal: it could lead outside."""
    server = scripted_server(lambda _n, _body: server.json({"error": "no"}, status, "Location: /x"))
    with pytest.raises(ServerRefused, match=f"answered {status}"):
        ask(server.url)
    assert len(server.requests) == 1


def test_a_silent_server_ends_by_the_limit_of_time(scripted_server):
    """No byte at all, and a whole head without a body."""
    silent = scripted_server(lambda _n, _body: silent.silence())
    half = scripted_server(lambda _n, _body: half.silence(half.chat("No.")[:-20]))
    for server in (silent, half):
        begun = time.monotonic()
        with pytest.raises(ServerUnavailable, match=r"no whole answer within 0.3 s.*tried 3 times"):
            ask(server.url, seconds=0.3)
        assert time.monotonic() - begun < 10
        assert len(server.requests) == 3


def test_a_slow_stream_ends_by_the_limit_of_time(scripted_server):
    """An endless sequence of pieces do not prolong the limit."""
    server = scripted_server(lambda _n, _body: server.events(["a"] * 1000, seconds=0.1))
    with pytest.raises(ServerUnavailable, match=r"within 0\.5 s"):
        ask(server.url, stream=True, seconds=0.5, retry=RetryPolicy(tries=1))


def test_a_stream_that_breaks_off_is_no_answer(scripted_server):
    """No finish reason and no end mark: the text is incomplete."""
    server = scripted_server(lambda _n, _body: server.events(["The heart is"], done=False))
    with pytest.raises(ServerUnavailable, match="in the middle of its answer"):
        ask(server.url, stream=True)
    assert len(server.requests) == 3


def test_an_error_within_a_stream_is_no_answer(scripted_server):
    """Servers report a failure as an event."""

    def script(_n, _body):
        yield from server.events(["The heart"], done=False)
        yield b'data: {"error": {"message": "out of memory"}}\n\n'

    server = scripted_server(script)
    with pytest.raises(ServerUnavailable, match="reported an error"):
        ask(server.url, stream=True)


def test_what_is_not_json_is_repeated_and_then_named(scripted_server):
    """A page of a proxy, with status 200."""
    server = scripted_server(lambda _n, _body: server.whole(200, b"<html>Welcome</html>"))
    with pytest.raises(ServerUnavailable, match=r"not JSON.*tried 3 times"):
        ask(server.url)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"choices": []},
        {"choices": ["x"]},
        {"choices": [{"message": "x"}]},
        {"choices": [{"message": {"content": ["x"]}}]},
        {"choices": [{"message": {"content": 7}}]},
        {"choices": [{"message": {"content": "x"}}], "model": 7},
    ],
)
def test_json_of_another_shape_is_refused(scripted_server, content):
    """Each field is checked before it is used."""
    server = scripted_server(lambda _n, _body: server.json(content))
    with pytest.raises(ServerRefused, match="the server's answer"):
        ask(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_huge_answer_is_not_taken(scripted_server, stream):
    """Endless bytes end at the limit, not with the memory."""

    def endless(_n, _body):
        yield (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            if stream
            else b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        )
        while not server.stopped.is_set():
            yield b"x" * 2**16

    server = scripted_server(endless)
    with pytest.raises(ServerRefused, match="longer than"):
        ask(server.url, stream=stream)
    assert server.broken_off.wait(10)


def test_another_models_answer_is_refused(scripted_server):
    """A server may load another model than the named one; a revision behind @ is the same model."""
    server = scripted_server(lambda _n, _body: server.chat("No.", model="llama-7b"))
    with pytest.raises(ServerRefused, match="'llama-7b', not 'judge'"):
        ask(server.url)
    assert ask(server.url, reported_model="llama-7b").text == "No."
    assert ask(server.url, reported_model="any").text == "No."
    revised = scripted_server(lambda _n, _body: revised.chat("No.", model="judge@main"))
    assert ask(revised.url).text == "No."


def test_a_port_without_a_listener_is_unavailable(scripted_server):
    """The error states that there is no connection."""
    server = scripted_server(lambda _n, _body: b"")
    server.stop()
    with pytest.raises(ServerUnavailable, match=r"no connection to 127\.0\.0\.1:"):
        ask(server.url)


def test_no_more_requests_at_once_than_allowed(scripted_server):
    """Ten requests, three at once."""
    running, most = set(), []

    def script(n, _body):
        running.add(n)
        most.append(len(running))
        time.sleep(0.05)
        running.discard(n)
        return server.chat("No.")

    server = scripted_server(script)
    assert len(ask(server.url, times=10, connections=3)) == 10
    assert max(most) == 3


def test_a_canceled_request_closes_its_connection(scripted_server):
    """The server detects that the client has closed the connection."""
    server = scripted_server(lambda _n, _body: server.events(["a"] * 2000, seconds=0.02))

    async def run():
        options = {"model": "judge", "permitted": permitted(allow_remote=False)}
        async with ChatClient(Server(url=server.url, **options)) as client:
            task = asyncio.create_task(client.complete(MESSAGES, {}, stream=True))
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert server.broken_off.wait(10)


def test_environment_proxies_are_not_used(scripted_server, monkeypatch):
    """A proxy of the environment would receive every text."""
    proxy = scripted_server(lambda _n, _body: proxy.chat("by the proxy"))
    server = scripted_server(lambda _n, _body: server.chat("No."))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    assert ask(server.url).text == "No."
    assert proxy.requests == []


@pytest.fixture
def certificate(tmp_path, program):
    """A self-signed certificate of localhost and its key."""
    key, made = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-keyout", key, "-out", made,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return made, key


def test_tls_needs_a_certificate_of_the_named_authorities(scripted_server, certificate):
    """The name of the URL is checked although the connection goes to an address that was resolved."""
    made, key = certificate
    server = scripted_server(lambda _n, _body: server.chat("No."))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    assert ask(f"https://localhost:{port}/v1", tls_ca=made).text == "No."
    with pytest.raises(ServerRefused, match="certificate"):
        ask(f"https://localhost:{port}/v1")
    with pytest.raises(ServerRefused, match="certificate"):
        ask(f"https://127.0.0.1:{port}/v1", tls_ca=made)
    assert len(server.requests) == 1
