"""A judge over many pairs: several at once, recorded replies reused, ended where it cannot succeed."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from service.evaluation.chexprompt.reply import Rating, Unparsable
from service.evaluation.chexprompt.summary import Judged
from workers.judge.asking import Judge
from workers.judge.journal import Journal, Reply
from workers.judge.pairs import Pair
from workers.model.errors import ServerError, ServerUnavailable
from workers.model.servers.chat_client import ChatClient

# So many pairs in a row without any answer, each after all its repeats: the server is away.
_MOST_UNANSWERED: Final = 3
_PROGRESS_SECONDS: Final = 30.0

Outcome = Rating | Unparsable | None
Say = Callable[[str], None]


class JudgeRun:
    """Judges pairs and records the replies.

    Args:
        judge: What the judge is asked with.
        client: The server.
        journal: The recorded replies.
        most_characters: A longer chat does not fit the model's context and is not sent.
        say: Called with a line of progress.
    """

    def __init__(
        self,
        judge: Judge,
        client: ChatClient,
        journal: Journal,
        *,
        most_characters: int,
        say: Say,
    ) -> None:
        self._judge = judge
        self._client = client
        self._journal = journal
        self._most_characters = most_characters
        self._say = say
        self._outcomes: dict[str, Outcome] = {}
        self._unanswered = 0
        self.replies: list[Reply] = []

    def to_send(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return the pairs whose reply is not recorded and that can be sent."""
        return [pair for pair in pairs if self._known(pair) is _ASK]

    async def run(self, pairs: Sequence[Pair]) -> list[Judged]:
        """Return what became of each pair, in the given order.

        Raises:
            ServerRefused: The server refuses a request: no further one is sent.
            ServerUnavailable: Several pairs in a row got no answer.
        """
        for pair in pairs:
            known = self._known(pair)
            if not isinstance(known, _Ask):
                self._outcomes[pair.id] = known
        pending = [pair for pair in pairs if pair.id not in self._outcomes]
        progress = _Progress(len(pending), self._say)
        await self._all(iter(pending), progress)
        self.replies = [
            reply
            for pair in pairs
            if (reply := self._journal.known(self._judge.key(pair))) is not None
        ]
        return [Judged(pair.id, pair.patient, self._outcomes[pair.id]) for pair in pairs]

    def _known(self, pair: Pair) -> "Outcome | _Ask":
        """Return the outcome of a pair that needs no request."""
        if not pair.candidate:
            return None
        recorded = self._journal.known(self._judge.key(pair))
        if recorded is not None:
            return recorded.outcome
        if self._judge.characters(pair) > self._most_characters:
            return Unparsable.TOO_LONG
        return _ASK

    async def _all(self, pending: Iterator[Pair], progress: "_Progress") -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._client.server.connections):
                    group.create_task(self._work(pending, progress))
        except* ServerError as failed:
            raise failed.exceptions[0] from None

    async def _work(self, pending: Iterator[Pair], progress: "_Progress") -> None:
        """Judge pairs until none is left; all workers take from the same iterator."""
        for pair in pending:
            outcome = await self._outcome(pair)
            self._outcomes[pair.id] = outcome
            progress.count(parsed=isinstance(outcome, Rating))

    async def _outcome(self, pair: Pair) -> Outcome:
        try:
            reply = await self._judge.ask(self._client, pair)
        except ServerUnavailable:
            self._unanswered += 1
            if self._unanswered >= _MOST_UNANSWERED:
                raise
            return Unparsable.NO_ANSWER
        self._unanswered = 0
        self._journal.add(reply)
        return reply.outcome


class _Ask:
    """The type of `_ASK`: the pair must be sent."""


_ASK: Final = _Ask()


class _Progress:
    """Reports rate and remaining time, a line at most every 30 seconds."""

    def __init__(self, pairs: int, say: Say) -> None:
        self._pairs, self._say = pairs, say
        self._done = self._unparsable = 0
        self._begun = self._last = time.monotonic()

    def count(self, *, parsed: bool) -> None:
        """Count a pair."""
        self._done += 1
        self._unparsable += not parsed
        now = time.monotonic()
        if now - self._last < _PROGRESS_SECONDS:
            return
        self._last = now
        rate = self._done / (now - self._begun)
        left = (self._pairs - self._done) / rate
        self._say(
            f"{self._done} of {self._pairs} pairs, {60 * rate:.0f} a minute, about {left / 60:.0f} "
            f"minutes left, {self._unparsable} unparsable"
        )
