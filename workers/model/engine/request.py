"""A request: one answer that a caller waits for while the engine writes it."""

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from torch import Tensor

from workers.model.checkpoints.llava import Llava
from workers.model.errors import Canceled, GenerationError
from workers.model.networks.generate import Writing
from workers.model.prompts import Turn

if TYPE_CHECKING:
    from workers.model.vlm import Answer, Heat

_TIMED: Final = ("wait", "vision", "prefill", "questions", "decode")


@dataclass(slots=True, eq=False)
class AnswerRequest:
    """One requested answer.

    Attributes:
        length: Number of its tokens in the cache.
        marks: Times (`time.perf_counter`) when it was queued, taken, its image seen, its prompt read,
            its questions asked.
        samples: Further answers to the same prompt; image and prompt are read once for all.
    """

    pixels: Tensor  # [1, channels, S, S]
    turns: Sequence[Turn]
    ids: list[int]
    questions: Sequence[str]
    writing: Writing
    canceled: Callable[[], bool]
    answer: "Future[Answer]" = field(default_factory=Future)
    image_tokens: Tensor | None = None  # [P, C]
    image_vector: Tensor | None = None  # [D]
    length: int = 0
    chances: tuple[float, ...] = ()
    heat: "Heat" = field(default_factory=dict)
    marks: list[float] = field(default_factory=lambda: [time.perf_counter()])
    samples: "tuple[AnswerRequest, ...]" = ()

    @property
    def writers(self) -> "tuple[AnswerRequest, ...]":
        """The request and its samples: each takes a row."""
        return (self, *self.samples)

    def start_samples(self) -> None:
        """Let the samples start where the request does, after image and prompt."""
        for one in self.samples:
            one.image_tokens, one.length, one.marks = (
                self.image_tokens,
                self.length,
                list(self.marks),
            )
            one.image_vector = self.image_vector

    def drop_samples(self, error: BaseException) -> bool:
        """Remove the samples, which fail with `error`; return whether there were any."""
        given_up, self.samples = self.samples, ()
        for one in given_up:
            one.fail(error)
        return bool(given_up)

    def fail(self, error: BaseException) -> None:
        """Fail the request and its samples, except those that have ended."""
        for one in self.writers:
            if not one.answer.done():
                one.answer.set_exception(error)

    def withdrawn(self) -> bool:
        """Return whether the caller has withdrawn the request; it then fails with Canceled."""
        if not self.canceled():
            return False
        self.fail(Canceled("the request was withdrawn"))
        return True

    def finish(self, model: Llava) -> None:
        """Complete the request with the answer that was written."""
        if self.image_tokens is None or self.image_vector is None:
            raise GenerationError("the image must be read before the answer is generated")
        images, vector = self.image_tokens[None], self.image_vector
        answer = model.finished(self.writing, self.turns, images, vector)
        self.marks.append(time.perf_counter())
        spent = [(after - before) * 1000 for before, after in itertools.pairwise(self.marks)]
        timings = dict(zip(_TIMED, spent, strict=True))
        found = replace(answer, chances=self.chances, heat=self.heat, timings_ms=timings)
        self.answer.set_result(found)


def mark(requests: Sequence[AnswerRequest]) -> None:
    """Record in each request the time at which its next part begins."""
    now = time.perf_counter()
    for request in requests:
        request.marks.append(now)
