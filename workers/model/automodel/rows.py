"""A row of a batch: one answer, or one yes-or-no question, that a caller waits for."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from workers.model.automodel.processors import Prompt
from workers.model.errors import Canceled
from workers.model.networks.generate import Writing

_TIMED: Final = ("wait", "prefill", "decode")


@dataclass(frozen=True, slots=True)
class YesNo:
    """The first ids of positive and of negative answers."""

    yes: tuple[int, ...]
    no: tuple[int, ...]

    def chance(self, logits: Tensor) -> float:
        """Return the probability in 0..1 of yes against no, after `logits` [V]."""
        sides = torch.stack([logits[list(ids)].logsumexp(0) for ids in (self.yes, self.no)])
        return float(sides.softmax(0)[0])


@dataclass(frozen=True, slots=True)
class Written:
    """A finished row.

    Attributes:
        chance: The probability of yes, of a question.
        timings_ms: Milliseconds of "wait", "prefill" (image and prompt), "decode".
    """

    ids: tuple[int, ...]
    scores: tuple[float, ...]
    chance: float
    timings_ms: dict[str, float]


@dataclass(slots=True, eq=False)
class Row:
    """One row.

    Attributes:
        question: Set for a question: only the logits of its first token are used.
        marks: Times (`time.perf_counter`) when it was queued, first taken, got its first token.
    """

    prompt: Prompt
    writing: Writing
    canceled: Callable[[], bool]
    urgent: bool = False
    question: YesNo | None = None
    answer: "Future[Written]" = field(default_factory=Future)
    chance: float = 0.0
    marks: list[float] = field(default_factory=lambda: [time.perf_counter()])

    @property
    def open(self) -> bool:
        """Whether the row still needs tokens."""
        return not self.answer.done() and not self.writing.done

    def mark(self, number: int) -> None:
        """Record the time of mark `number`, once."""
        if len(self.marks) == number:
            self.marks.append(time.perf_counter())

    def withdrawn(self) -> bool:
        """Return whether the caller has withdrawn the row; it then fails with Canceled."""
        if self.answer.done() or not self.canceled():
            return False
        self.fail(Canceled("the request was withdrawn"))
        return True

    def fail(self, error: BaseException) -> None:
        """Fail the row, unless it has ended."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def finish(self) -> None:
        """Complete the row, unless it has failed."""
        if self.answer.done():
            return
        marks = [*self.marks, time.perf_counter()]
        spent = [(after - before) * 1000 for before, after in itertools.pairwise(marks)]
        self.answer.set_result(
            Written(
                tuple(self.writing.ids),
                tuple(self.writing.scores),
                self.chance,
                dict(zip(_TIMED, spent, strict=False)),
            )
        )
