"""The probe before each run: two pairs with known errors, so that no useless judge counts a thousand.

A normal text against the same with severe cardiomegaly must give one significant false finding and
nothing else; equal texts must give no error. The first is the test of the published repository.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.evaluation.chexprompt.prompt import ErrorType
from service.evaluation.chexprompt.reply import Counts, Rating, Unparsable
from workers.judge.asking import CHARACTERS_PER_TOKEN, Judge
from workers.judge.journal import Reply
from workers.judge.pairs import Pair
from workers.model.servers.chat_client import ChatClient

NAME: Final = "judge_probe.json"
_NORMAL: Final = (
    "The heart is of normal size. The lungs are clear. There is no pleural effusion or pneumothorax. "
    "There is no focal consolidation. No acute bony abnormality is seen."
)
_ENLARGED: Final = _NORMAL.replace("The heart is of normal size.", "There is severe cardiomegaly.")
_PAIRS: Final = {
    "severe cardiomegaly against a normal text": (
        Pair(id="probe-1", patient="", reference=_NORMAL, candidate=_ENLARGED),
        {ErrorType.FALSE_FINDING: 1},
    ),
    "equal texts": (Pair(id="probe-2", patient="", reference=_NORMAL, candidate=_NORMAL), {}),
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What the probe found.

    Attributes:
        faults: A sentence for each pair that was not counted as expected; empty if it passed.
        characters_per_token: Of the prompts, as the server counted their tokens.
    """

    faults: tuple[str, ...]
    characters_per_token: float

    @property
    def passed(self) -> bool:
        """Whether all was counted as expected."""
        return not self.faults


async def probe(judge: Judge, client: ChatClient) -> Probe:
    """Ask the judge about the two pairs, one after the other.

    Raises:
        ServerUnavailable: The server gave no answer.
        ServerRefused: The server refuses the request.
    """
    faults, replies = [], []
    for name, (pair, expected) in _PAIRS.items():
        reply = await judge.ask(client, pair)
        replies.append((reply, judge.characters(pair)))
        fault = _fault(reply.outcome, expected)
        if fault:
            faults.append(f"{name}: {fault}")
    return Probe(tuple(faults), _characters_per_token(replies))


def record(folder: Path, judge: Judge, found: Probe) -> None:
    """Write what the probe found, for a later run that has no request to send."""
    content = {"key": _key(judge), "faults": found.faults}
    (folder / NAME).write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def recorded_faults(folder: Path, judge: Judge) -> tuple[str, ...] | None:
    """Return what the last probe of this judge found, or None if none is recorded."""
    try:
        content = json.loads((folder / NAME).read_text("utf-8"))
        known, faults = content["key"], tuple(map(str, content["faults"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return faults if known == _key(judge) else None


def _key(judge: Judge) -> str:
    """Return what identifies the requests of the probe: model, prompt and decoding."""
    keys = "".join(judge.key(pair) for pair, _ in _PAIRS.values())
    return hashlib.sha256(keys.encode()).hexdigest()


def _fault(outcome: Rating | Unparsable, expected: dict[ErrorType, int]) -> str:
    if isinstance(outcome, Unparsable):
        return f"the reply cannot be parsed ({outcome.value})"
    counts = dict.fromkeys(ErrorType, 0) | expected
    if outcome.significant == counts and not any(outcome.insignificant.values()):
        return ""
    return (
        f"significant {_counted(outcome.significant)}, insignificant {_counted(outcome.insignificant)}; "
        f"expected significant {_counted(counts)} and nothing insignificant"
    )


def _counted(counts: Counts) -> str:
    return " ".join(f"{each}={number}" for each, number in counts.items() if number) or "none"


def _characters_per_token(replies: list[tuple[Reply, int]]) -> float:
    tokens = sum(reply.prompt_tokens / reply.tries for reply, _ in replies)
    characters = sum(count for _, count in replies)
    return characters / tokens if tokens else CHARACTERS_PER_TOKEN
