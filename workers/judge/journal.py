"""`judge.jsonl`: each reply of the judge, appended and synced: a run continues after a crash.

A record's key is the SHA-256 of model, messages and decoding parameters: a changed draft, prompt or
model has another key and is judged anew. Counts are parsed from the recorded reply each time.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self, TextIO

from service.errors import ConfigurationError
from service.evaluation.chexprompt.reply import Rating, Unparsable, parsed

NAME: Final = "judge.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A recorded reply.

    Attributes:
        key: Identifies the request.
        id: The pair.
        metric: Name of the metric.
        reply: The text that was parsed: that of the last try.
        finish_reason: As the server stated it.
        refused: Whether the server marked it as a refusal.
        first_reply: The unparsable text of the first try; "" where one try was enough.
        tries: 1 or 2.
        model: The model's name as the server reported it.
        prompt_tokens: Of all tries together, as far as the server counted them.
        reply_tokens: The same.
        seconds: Of all tries together.
    """

    key: str
    id: str
    metric: str
    reply: str
    finish_reason: str
    refused: bool
    first_reply: str
    tries: int
    model: str
    prompt_tokens: int
    reply_tokens: int
    seconds: float

    @property
    def outcome(self) -> Rating | Unparsable:
        """The counts, or why there are none."""
        return parsed(self.reply, finish_reason=self.finish_reason, refusal=self.refused)


class Journal:
    """The recorded replies of one folder; open it with `opened`."""

    def __init__(self, file: TextIO, replies: Mapping[str, Reply]) -> None:
        self._file = file
        self._replies = dict(replies)

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[Self]:
        """Open or create the journal of a folder for one process; a torn last line is dropped.

        Raises:
            ConfigurationError: Another process writes it, or a line is not a record.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / NAME
        with path.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigurationError(f"{path}: another `wetread judge` writes it") from None
            replies = _read(file, path)
            yield cls(file, replies)

    def known(self, key: str) -> Reply | None:
        """Return the recorded reply to a request, or None."""
        return self._replies.get(key)

    def add(self, reply: Reply) -> None:
        """Append a reply durably."""
        self._file.write(json.dumps(_line(reply)) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._replies[reply.key] = reply


def request_key(
    model: str, messages: Sequence[Mapping[str, str]], parameters: Mapping[str, Any]
) -> str:
    """Return the SHA-256 that identifies a request."""
    content = {"model": model, "messages": list(messages), "parameters": dict(parameters)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _line(reply: Reply) -> dict[str, Any]:
    """Return a record with its counts, for readers of the file; they are not read back."""
    outcome = reply.outcome
    if isinstance(outcome, Unparsable):
        return asdict(reply) | {"unparsable": outcome.value}
    return asdict(reply) | {
        "form": outcome.form.value,
        "significant": outcome.significant,
        "insignificant": outcome.insignificant,
    }


def _read(file: TextIO, path: Path) -> dict[str, Reply]:
    """Return the records by key; cut off a last line without its line feed."""
    file.seek(0)
    content = file.read()
    whole = content[: content.rfind("\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole.encode()))
    file.seek(0, os.SEEK_END)
    lines = enumerate(whole.split("\n")[:-1], 1)
    replies = [_reply(line, f"{path}, line {number}") for number, line in lines]
    return {each.key: each for each in replies}


def _reply(line: str, where: str) -> Reply:
    try:
        record = json.loads(line)
        values = {each.name: record[each.name] for each in fields(Reply)}
        reply = Reply(**values)
        _ = reply.outcome
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(
            f"{where}: not a record of `wetread judge`; move the file away to judge all pairs again"
        ) from None
    return reply
