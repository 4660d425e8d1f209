"""One answer that a caller waits for while the engine writes it."""

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from torch import Tensor

from workers.model.checkpoints.llava import Llava
from workers.model.errors import Cancelled, GenerationError
from workers.model.networks.generate import Writing
from workers.model.prompts import Turn

if TYPE_CHECKING:
    from workers.model.vlm import Answer, Heat

_TIMED: Final = ("wait", "vision", "prefill", "questions", "decode")


@dataclass(slots=True, eq=False)
class AnswerRequest:
    """One answer that is wanted.

    Attributes:
        length: Tokens of it that are in the cache.
        marks: Times at which it was handed over, taken up, seen, read, asked.
        samples: Further answers to the same prompt, written beside it; film and prompt are read once.
    """

    pixels: Tensor
    turns: Sequence[Turn]
    ids: list[int]
    questions: Sequence[str]
    writing: Writing
    cancelled: Callable[[], bool]
    answer: "Future[Answer]" = field(default_factory=Future)
    film: Tensor | None = None
    length: int = 0
    chances: tuple[float, ...] = ()
    heat: "Heat" = field(default_factory=dict)
    marks: list[float] = field(default_factory=lambda: [time.perf_counter()])
    samples: "tuple[AnswerRequest, ...]" = ()

    @property
    def writers(self) -> "tuple[AnswerRequest, ...]":
        """The order and its samples: each takes a row."""
        return (self, *self.samples)

    def share(self) -> None:
        """Let the samples stand where the order stands, behind film and prompt."""
        for one in self.samples:
            one.film, one.length, one.marks = self.film, self.length, list(self.marks)

    def forgo(self, error: BaseException) -> bool:
        """Give up the samples; return whether there were any."""
        given_up, self.samples = self.samples, ()
        for one in given_up:
            one.fail(error)
        return bool(given_up)

    def fail(self, error: BaseException) -> None:
        """End the order and its samples, as far as they have not ended."""
        for one in self.writers:
            if not one.answer.done():
                one.answer.set_exception(error)

    def withdrawn(self) -> bool:
        """Return whether the caller wants it no longer; then it has ended."""
        if not self.cancelled():
            return False
        self.fail(Cancelled("the answer is no longer wanted"))
        return True

    def finish(self, model: Llava) -> None:
        """End the order with what was written."""
        if self.film is None:
            raise GenerationError("a film must be read before it is written about")
        said = model.finished(self.writing, self.turns, self.film[None])
        self.marks.append(time.perf_counter())
        spent = [(after - before) * 1000 for before, after in itertools.pairwise(self.marks)]
        timings = dict(zip(_TIMED, spent, strict=True))
        found = replace(said, chances=self.chances, heat=self.heat, timings_ms=timings)
        self.answer.set_result(found)


def mark(orders: Sequence[AnswerRequest]) -> None:
    """Note the time in each order: the next part begins."""
    now = time.perf_counter()
    for order in orders:
        order.marks.append(now)
