"""A client of OpenAI-compatible chat completions (vLLM, llama.cpp, Ollama, `transformers serve`, TGI).

`POST {url}/chat/completions` is the only request; `/v1/models` is not needed, since some servers fail
there. A request holds what the caller gives and nothing else: no cookie, no user agent, no proxy.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import httpcore

from workers.model.errors import ServerRefused, ServerUnavailable
from workers.model.servers.connection import (
    CONNECT_SECONDS,
    Permitted,
    PermittedBackend,
    pool,
    reason_of,
)
from workers.model.servers.replies import Completion, StreamedReply, bounded, completion_of
from workers.model.servers.retrying import RetryPolicy, retry_after, with_retries
from workers.model.servers.slots import Slots
from workers.model.servers.tls_faults import context_of, handshake_error, speaks_tls, tls_fault

_MOST_BYTES: Final = 8 * 2**20
_MOST_ERROR_BYTES: Final = 4096
_DETAIL_CHARACTERS: Final = 300
_OK: Final = 200
_BAD_REQUEST: Final = 400
_SERVER_FAILURE: Final = 500
# Request timeout, conflict, too many requests: the same request may succeed later.
_TEMPORARY: Final = frozenset({408, 409, 429})
# The server is away or overloaded: this is independent of the request.
_OUTAGE: Final = frozenset({429, 502, 503, 504})
_MEANINGS: Final = {
    400: "it does not accept the request",
    401: "the API key is missing or wrong: set {keys}api_key",
    403: "the API key may not use this model: correct {keys}api_key or {keys}model",
    404: "the path or the model is unknown there: correct {keys}url (it ends before /chat/completions, "
    "usually with /v1) or {keys}model",
    429: "too many requests",
}
_CHECK: Final = (
    "check that the server runs, that host and port of {keys}url are right, and that no firewall blocks "
    "the port"
)
_CHECK_TLS: Final = "; without TLS on the server {keys}url begins with http://"
_PLAIN: Final = b"http"
_TLS_HERE: Final = "it uses TLS at this port: begin {keys}url with https://"
_EVENTS: Final = b"text/event-stream"

Message = Mapping[str, Any]
Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A model server and how it is used.

    Attributes:
        url: Up to and including `/v1`.
        model: The model's name in requests.
        reported_model: Its name in answers; "" for the same name, `any` for any.
        permitted: Whether a connection to an IP address is permitted.
        api_key: Sent as a bearer token; "" for none.
        seconds: How long one request may take, from the connection to the last byte.
        connections: Most requests at once.
        tls_ca: PEM file of the authorities that its certificate must come from; None: the system's.
        retry: When a request is repeated.
        keys: How the names of its settings begin, for messages: `server_` of a model, `judge.`.
    """

    url: str
    model: str
    reported_model: str = ""
    permitted: Permitted = field(repr=False)
    api_key: str = field(default="", repr=False)
    seconds: float = 120.0
    connections: int = 4
    tls_ca: Path | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    keys: str = "server_"

    @property
    def host(self) -> str:
        """Host name and port, for messages."""
        url = httpcore.URL(self.url)
        host = url.host.decode()
        return host if url.port is None else f"{host}:{url.port}"


ANY_MODEL: Final = "any"


class ChatClient:
    """Sends chat completions to one server; used within one event loop.

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        """Set up the client; nothing is connected.

        Raises:
            ServerRefused: The file of the authorities cannot be used.
        """
        self.server = server
        self._tls = context_of(server.tls_ca, f"{server.keys}tls_ca")
        self._pool = pool(server.permitted, connections=server.connections, tls=self._tls)
        self._slots = Slots(server.connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pool.aclose()

    async def complete(
        self,
        messages: Sequence[Message],
        parameters: Parameters,
        *,
        stream: bool = False,
        urgent: bool = False,
    ) -> Completion:
        """Return the answer to a chat.

        Cancelling the task closes the connection, so that the server ends its computation.

        Args:
            messages: The chat, in the form of the API.
            parameters: Further keys of the request, such as `temperature` and `max_tokens`.
            stream: Whether the text comes piece by piece.
            urgent: Sent before others that wait.

        Raises:
            ServerUnavailable: No answer, an overload or a failure of the server, also after repeats.
            ServerRefused: The server refuses the request, or its answer cannot be used.
        """
        request = {"model": self.server.model, "messages": list(messages), **parameters}
        body = json.dumps(request | {"stream": stream}).encode()
        async with self._slots.taken(urgent=urgent):
            return await with_retries(lambda: self._try(body), self.server.retry)

    async def _try(self, body: bytes) -> Completion:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.server.seconds):
                completion = await self._exchange(body)
        except httpcore.ConnectTimeout:
            raise self._no_connection(f"no answer within {CONNECT_SECONDS:g} s") from None
        except (TimeoutError, httpcore.TimeoutException):
            raise ServerUnavailable(
                f"{self.server.host} gave no whole answer within {self.server.seconds:g} s"
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as error:
            raise await self._broken(error) from error
        self._check_model(completion.model)
        return replace(completion, seconds=time.monotonic() - begun)

    async def _broken(self, error: Exception) -> ServerRefused | ServerUnavailable:
        """Return what an error of the connection means."""
        fault = tls_fault(error, self.server.keys)
        if fault is None and not isinstance(error, httpcore.ConnectError):
            # The alert that states why may be lost with the connection.
            fault = await self._handshake_fault()
        if fault is not None:
            return ServerRefused(f"{self.server.host}: {fault}")
        if isinstance(error, httpcore.ConnectError):
            return self._no_connection(reason_of(error))
        return ServerUnavailable(f"{self.server.host} broke off its answer")

    def _no_connection(self, reason: str) -> ServerUnavailable:
        check = self._filled(_CHECK if self._is_plain else _CHECK + _CHECK_TLS)
        message = f"no connection to {self.server.host}: {reason}; {check}"
        return ServerUnavailable(message, outage=True)

    async def _handshake_fault(self) -> str | None:
        """Return what a TLS handshake with the server shows, None if it shows no fault."""
        url = httpcore.URL(self.server.url)
        backend = PermittedBackend(self.server.permitted)
        if self._is_plain:
            return self._filled(_TLS_HERE) if await speaks_tls(backend, url) else None
        error = await handshake_error(backend, url, self._tls)
        return None if error is None else tls_fault(error, self.server.keys)

    @property
    def _is_plain(self) -> bool:
        return httpcore.URL(self.server.url).scheme == _PLAIN

    def _filled(self, message: str) -> str:
        return message.format(keys=self.server.keys, host=self.server.host)

    async def _exchange(self, body: bytes) -> Completion:
        waits = {"connect": CONNECT_SECONDS}
        async with self._pool.stream(
            "POST",
            f"{self.server.url.rstrip('/')}/chat/completions",
            headers=self._headers(),
            content=body,
            extensions={"timeout": waits},
        ) as response:
            if response.status != _OK:
                raise await self._failure(response)
            return await _completion(response)

    def _headers(self) -> list[tuple[str, str]]:
        headers = [("Content-Type", "application/json"), ("Accept-Encoding", "identity")]
        if self.server.api_key:
            headers.append(("Authorization", f"Bearer {self.server.api_key}"))
        return headers

    async def _failure(self, response: httpcore.Response) -> ServerRefused | ServerUnavailable:
        status = response.status
        meaning = _MEANINGS.get(status, "the server failed" if status >= _SERVER_FAILURE else "")
        message = f"{self.server.host} answered {status}" + (f": {meaning}" if meaning else "")
        message = self._filled(message)
        detail = await _detail(response)
        if status == _BAD_REQUEST and self._is_plain and (fault := await self._handshake_fault()):
            return ServerRefused(f"{self.server.host}: {fault}", detail=detail)
        if status in _TEMPORARY or status >= _SERVER_FAILURE:
            wait = _header(response, b"retry-after")
            return ServerUnavailable(
                message,
                detail=detail,
                retry_after=retry_after(wait.decode("latin-1")),
                outage=status in _OUTAGE,
            )
        return ServerRefused(message, detail=detail)

    def _check_model(self, reported: str) -> None:
        """Refuse the answer of another model; a server may add a revision behind `@`."""
        expected = self.server.reported_model or self.server.model
        if ANY_MODEL in (self.server.reported_model, expected) or not reported:
            return
        if expected not in (reported, reported.partition("@")[0]):
            raise ServerRefused(
                f"{self.server.host} answered as model {reported[:80]!r}, not {expected!r}: correct the "
                f"model's name, or set the name of its answers ({self.server.keys}reported_model)"
            )


async def _completion(response: httpcore.Response) -> Completion:
    chunks = bounded(response.aiter_stream(), _MOST_BYTES)
    if not _header(response, b"content-type").startswith(_EVENTS):
        return completion_of(b"".join([chunk async for chunk in chunks]))
    reply = StreamedReply()
    async for chunk in chunks:
        reply.feed(chunk)
        if reply.done:
            break
    return reply.completion()


async def _detail(response: httpcore.Response) -> str:
    """Return the start of an error's body as printable text, "" where it cannot be read."""
    content = b""
    try:
        async for chunk in response.aiter_stream():
            content += chunk
            if len(content) > _MOST_ERROR_BYTES:
                break
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        return ""
    text = " ".join(content[:_MOST_ERROR_BYTES].decode(errors="replace").split())
    return "".join(each for each in text if each.isprintable())[:_DETAIL_CHARACTERS]


def _header(response: httpcore.Response, name: bytes) -> bytes:
    return next((value for key, value in response.headers if key.lower() == name), b"")
