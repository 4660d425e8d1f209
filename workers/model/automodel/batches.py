"""Answers many callers with one model of the library, in batches; implements `ReadingModel`.

One thread owns the network. It takes waiting rows, urgent ones first, and extends them together until
all are complete. A batch is interrupted when an urgent row waits, or when half of it is complete while
others wait: complete rows leave, waiting rows join, and rows that go on read their own text again. What
does not fit into memory is halved.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from workers.model.automodel.generating import extend_batch
from workers.model.automodel.loading import Loaded
from workers.model.automodel.processors import Prompt
from workers.model.automodel.row_queue import RowQueue
from workers.model.automodel.rows import Row
from workers.model.errors import EngineStopped, GenerationError
from workers.model.model_thread import STEP_FAULTS, SteppingModel, called
from workers.model.networks.generate import Writing
from workers.model.profiles import chat
from workers.model.profiles.picture import image_sent
from workers.model.prompts import EarlierAnswer, Task, conversation
from workers.model.vlm import Answer, Decoding, never

# The errors that the library raises for inputs that a model cannot use.
_REFUSALS: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)
_FAULTS: Final = (*STEP_FAULTS, *_REFUSALS)
_NO_IMAGE_TOKENS: Final = np.zeros((0, 0), dtype=np.float32)


class BatchEngine(SteppingModel):
    """Answers several callers at once with one model of the library."""

    def __init__(self, loaded: Loaded, *, rows: int, step_timeout: float = 600.0) -> None:
        """Start the thread.

        Args:
            loaded: The model; only the engine may use its network from now on.
            rows: Most rows of a batch; one if the model's batches do not give the same as single rows.
            step_timeout: Seconds without a step after which waiting callers get EngineStopped.
        """
        super().__init__(name="batches", step_timeout=step_timeout)
        self.loaded = loaded
        self.profile: Final = loaded.profile
        self.checkpoint: Final = loaded.checkpoint
        self.locates: Final = False  # no gradients of images in a way that all models share
        self.rows = rows if loaded.batches else 1
        self._waiting = RowQueue()
        self._batch: Sequence[Row] = ()
        self._thread.start()

    @called
    def answer(  # noqa: PLR0913 - the keywords of `ReadingModel`
        self,
        frame: NDArray[np.float32],
        task: Task,
        *,
        question: str = "",
        indication: str = "",
        questions: Sequence[str] = (),
        decoding: Decoding = Decoding(),  # noqa: B008 - frozen
        canceled: Callable[[], bool] = never,
        urgent: bool = False,
        samples: Sequence[Decoding] = (),
        earlier: Sequence[EarlierAnswer] = (),
    ) -> Answer:
        """Return the model's answer about one image; see `ReadingModel.answer`."""
        start = time.perf_counter()
        image = image_sent(frame, self.profile.image)
        turns = conversation(
            lambda kind, text: chat.turns(self.profile, kind, question=text, indication=indication),
            earlier,
            task,
            question,
        )
        prompt = self.loaded.maker.prompt(image, turns)
        asked = [self.loaded.asked(image, one) for one in questions]
        spent = (time.perf_counter() - start) * 1000

        def row(how: Decoding) -> Row:
            return Row(prompt, self._writing(prompt, how), canceled, urgent)

        one = Decoding(max_new_tokens=1)
        queries = [
            Row(each, self._writing(each, one), canceled, urgent, self.loaded.yes_no)
            for each in asked
        ]
        main, beside = row(decoding), [row(how) for how in samples]
        self._enter([*queries, main, *beside])
        chances = tuple(self._awaited(query.answer).chance for query in queries)
        answer = self._awaited(main.answer)
        others = self._succeeded([row.answer for row in beside], _FAULTS)
        return Answer(
            text=self.loaded.text(answer.ids),
            token_ids=answer.ids,
            token_scores=answer.scores,
            prompt=prompt.text,
            ended=self.loaded.ends(list(answer.ids)),
            image_tokens=_NO_IMAGE_TOKENS,
            chances=chances,
            timings_ms={"preprocess": spent, **answer.timings_ms},
            samples=tuple(self.loaded.text(one.ids) for one in others),
        )

    def chances(self, frame: NDArray[np.float32], questions: Sequence[str]) -> tuple[float, ...]:
        """Return the probabilities of yes; see `vlm.VisionLanguageModel.chances`."""
        one = Decoding(max_new_tokens=1)
        return self.answer(frame, Task.REPORT, questions=questions, decoding=one).chances

    def _writing(self, prompt: Prompt, how: Decoding) -> Writing:
        return Writing(self.loaded.bounded(how, prompt.length), self.loaded.ends)

    def _enter(self, rows: Sequence[Row]) -> None:
        with self._changed:
            self._check_open()
            self._waiting.add(rows)
            self._changed.notify()

    @torch.inference_mode()
    def _run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                self._batch = batch
                self._extend(batch)
                self._leave(batch)
        finally:
            # Also after an error of the engine: no caller may wait for an answer that never comes.
            with self._changed:
                self._closed = True
            for row in (*self._batch, *self._waiting):
                row.fail(EngineStopped("the engine has ended"))

    def _next(self) -> list[Row] | None:
        """Wait for rows and return the next batch; None once the engine closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) > 0)
            self._waiting.forget_withdrawn()
            return None if self._closed else self._waiting.taken(self.rows)

    def _leave(self, batch: Sequence[Row]) -> None:
        """Complete the rows that are over, and let the others wait for the next batch."""
        self._batch = ()
        with self._changed:
            self._waiting.put_back([row for row in batch if row.open])
        for row in batch:
            if not row.open:
                row.finish()

    def _extend(self, rows: Sequence[Row]) -> None:
        """Extend rows together; in halves if that fails, so that only a row at fault fails."""
        for row in rows:
            row.mark(1)
        if not rows:
            return
        try:
            extend_batch(self.loaded.network, rows, self.loaded.special, self._interrupted)
        except _FAULTS as error:
            if len(rows) == 1:
                rows[0].fail(_as_model_error(error))
                return
            middle = len(rows) // 2
            for half in (rows[:middle], rows[middle:]):
                self._extend([row for row in half if row.open])

    def _interrupted(self) -> bool:
        """Return whether the batch should end here; called after each token."""
        self._steps += 1
        with self._changed:
            self._waiting.forget_withdrawn()
            urgent, waiting = self._waiting.has_urgent, len(self._waiting)
        if self._closed or not self.loaded.batches:
            # Rows that go on would be read in a way that was not compared with single rows.
            return self._closed
        routine = [row for row in self._batch if not row.urgent]
        over = sum(not row.open for row in self._batch)
        return bool((urgent and routine) or (waiting and 2 * over >= len(self._batch)))


def _as_model_error(error: BaseException) -> BaseException:
    """Return an error of the library's input checks as one of the model; others as they are."""
    if isinstance(error, _REFUSALS):
        return GenerationError(f"the model refuses image or prompt: {error}")
    return error
