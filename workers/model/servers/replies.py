"""Replies of a chat completion: one JSON object, or server-sent events with pieces of the text.

The server is not trusted: its reply is read under a limit of bytes, and each field is checked. What is
not JSON may be a page of a proxy or half a reply: `ServerUnavailable`. What is JSON of another shape,
too large or of another model is `ServerRefused`.
"""

import json
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from workers.model.errors import ServerRefused, ServerUnavailable

_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer of a server.

    Attributes:
        text: The answer's text.
        finish_reason: Why the server ended it: `stop`, `length`, `content_filter`; "" if not stated.
        refused: Whether the server marked it as a refusal.
        model: The model's name as the server reports it; "" if not stated.
        prompt_tokens: As the server counted them; None if not stated.
        completion_tokens: The same for the answer.
        first_token: Probability of each of the likeliest first tokens of the answer by its text; empty
            if they were not requested or the server does not give them.
        seconds: From the request to the last byte, of the try that succeeded.
    """

    text: str
    finish_reason: str = ""
    refused: bool = False
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


async def bounded(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Yield the chunks of a body.

    Raises:
        ServerRefused: The body is longer than `limit` bytes.
    """
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise ServerRefused(f"the server's answer is longer than {limit} bytes")
        yield chunk


def completion_of(body: bytes) -> Completion:
    """Return the completion of a whole reply.

    Raises:
        ServerUnavailable: It is not JSON.
        ServerRefused: It is JSON of another shape.
    """
    reply = _object(body)
    choice = _choice(reply)
    message, usage = choice.get("message"), _usage(reply)
    if not isinstance(message, Mapping):
        raise ServerRefused("the server's answer has no message")
    return Completion(
        text=_content(message.get("content")),
        finish_reason=_text(choice.get("finish_reason")),
        refused=bool(_text(message.get("refusal"))),
        model=_text(reply.get("model")),
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        first_token=_first_token(choice.get("logprobs")),
    )


@dataclass(slots=True)
class StreamedReply:
    """Collects a reply that comes as server-sent events."""

    pieces: list[str] = field(default_factory=list)
    finish_reason: str = ""
    refused: bool = False
    model: str = ""
    usage: dict[str, int | None] = field(default_factory=dict)
    done: bool = False
    _rest: bytes = b""

    def feed(self, chunk: bytes) -> None:
        """Take further bytes of the body.

        Raises:
            ServerUnavailable: An event is not JSON.
            ServerRefused: An event is JSON of another shape, or an error.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(_DATA):
                self._event(line[len(_DATA) :].strip())

    def completion(self) -> Completion:
        """Return the completion once the body has ended.

        Raises:
            ServerUnavailable: The stream ended before the answer did.
        """
        self.feed(b"\n")
        if not self.done and not self.finish_reason:
            raise ServerUnavailable("the server ended the connection in the middle of its answer")
        return Completion(
            text="".join(self.pieces),
            finish_reason=self.finish_reason,
            refused=self.refused,
            model=self.model,
            prompt_tokens=self.usage.get("prompt_tokens"),
            completion_tokens=self.usage.get("completion_tokens"),
        )

    def _event(self, content: bytes) -> None:
        if content == _DONE:
            self.done = True
            return
        event = _object(content)
        if "error" in event:
            raise ServerUnavailable("the server reported an error in the middle of its answer")
        self.model = _text(event.get("model")) or self.model
        if event.get("usage"):
            self.usage = _usage(event)
        if not event.get("choices"):
            return  # the event with the usage has no choice
        choice = _choice(event)
        delta = choice.get("delta")
        if isinstance(delta, Mapping):
            self.pieces.append(_content(delta.get("content")))
            self.refused = self.refused or bool(_text(delta.get("refusal")))
        self.finish_reason = _text(choice.get("finish_reason")) or self.finish_reason


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ServerUnavailable("the server's answer is not JSON") from None
    if not isinstance(found, Mapping):
        raise ServerRefused("the server's answer is JSON, but no object")
    return found


def _choice(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = reply.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, Mapping):
        raise ServerRefused("the server's answer has no choice: it is no chat completion")
    return first


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ServerRefused("the server's answer has a field that is not text")
    return value


def _content(value: object) -> str:
    """Return the text of a message, which may also be given as a list of parts."""
    if not isinstance(value, list):
        return _text(value)
    parts = [each for each in value if isinstance(each, Mapping) and each.get("type") == "text"]
    if len(parts) != len(value):
        raise ServerRefused("the server's answer has parts that are not text")
    return "".join(_text(each.get("text")) for each in parts)


def _usage(reply: Mapping[str, Any]) -> dict[str, int | None]:
    usage = reply.get("usage")
    numbers = usage if isinstance(usage, Mapping) else {}
    return {name: _count(numbers.get(name)) for name in ("prompt_tokens", "completion_tokens")}


def _first_token(logprobs: object) -> dict[str, float]:
    """Return the probabilities of the likeliest first tokens; empty where they are not given."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    first = content[0] if isinstance(content, list) and content else None
    likeliest = first.get("top_logprobs") if isinstance(first, Mapping) else None
    found: dict[str, float] = {}
    for each in likeliest if isinstance(likeliest, list) else ():
        token, value = (
            (each.get("token"), each.get("logprob")) if isinstance(each, Mapping) else (None, None)
        )
        if (
            not isinstance(token, str)
            or not isinstance(value, int | float)
            or not -1e4 < value < 1e-3
        ):
            raise ServerRefused("the server's answer has a probability of a token that is none")
        found[token] = found.get(token, 0.0) + math.exp(min(value, 0.0))
    return found


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and isinstance(value, int) and value >= 0 else None
