"""The probe before each run: two pairs with known errors, so that no useless judge counts a thousand.

A normal text against the same with severe cardiomegaly must give one significant false finding and
nothing else; equal texts must give no error. The first is the test of the published repository.
"""

from dataclasses import dataclass
from typing import Final

from service.evaluation.chexprompt.prompt import ErrorType
from service.evaluation.chexprompt.reply import Counts, Rating, Unparsable
from workers.judge.asking import CHARACTERS_PER_TOKEN, Judge
from workers.judge.journal import Reply
from workers.judge.pairs import Pair
from workers.model.servers.chat_client import ChatClient

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
