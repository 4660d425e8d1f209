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
from workers.model.servers.connection import CONNECT_SECONDS, Permitted, pool
from workers.model.servers.replies import Completion, StreamedReply, bounded, completion_of
from workers.model.servers.retrying import RetryPolicy, retry_after, with_retries
from workers.model.servers.slots import Slots

_MOST_BYTES: Final = 8 * 2**20
_MOST_ERROR_BYTES: Final = 4096
_DETAIL_CHARACTERS: Final = 300
_OK: Final = 200
_SERVER_FAILURE: Final = 500
# Request timeout, conflict, too many requests: the same request may succeed later.
_TEMPORARY: Final = frozenset({408, 409, 429})
# The server is away or overloaded: this says nothing about the request.
_OUTAGE: Final = frozenset({429, 502, 503, 504})
_MEANINGS: Final = {
    400: "it does not accept the request",
    401: "the API key is missing or wrong",
    403: "the API key may not use this model",
    404: "the path or the model is unknown there",
    429: "too many requests",
}
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
        self.server = server
        tls = ssl.create_default_context(cafile=server.tls_ca)
        self._pool = pool(server.permitted, connections=server.connections, tls=tls)
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
        except (TimeoutError, httpcore.TimeoutException):
            raise ServerUnavailable(
                f"{self.server.host} gave no whole answer within {self.server.seconds:g} s"
            ) from None
        except httpcore.ConnectError as error:
            message = f"no connection to {self.server.host}: {error}"
            raise ServerUnavailable(message, outage=True) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise ServerUnavailable(f"{self.server.host} broke off its answer") from error
        self._check_model(completion.model)
        return replace(completion, seconds=time.monotonic() - begun)

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
        detail = await _detail(response)
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
                "model's name, or set the name of its answers (reading.server_reported_model; of the "
                "judge judge.reported_model)"
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
