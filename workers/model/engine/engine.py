"""Continuous batching: one thread owns the model and extends the answers of many callers together.

A caller prepares its image in its own thread, queues a request and waits. Between two steps, the engine
takes waiting requests, urgent ones first, into free cache rows and reads their images and prompts
together. Each step adds one token to every answer. A row is free as soon as its answer ends, so that a
long answer does not delay others. Rows do not see each other: in float32 a greedy answer does not depend
on the other rows.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.model import preprocess, prompts
from workers.model.checkpoints.llava import Llava
from workers.model.engine.prefill import Pieces, Prefill
from workers.model.engine.request import AnswerRequest
from workers.model.engine.request_queue import RequestQueue
from workers.model.errors import EngineStopped, GenerationError
from workers.model.model_thread import STEP_FAULTS, SteppingModel, called
from workers.model.networks import generate, memory
from workers.model.networks.decode_step import CompiledStep, next_logits
from workers.model.networks.generate import Writing
from workers.model.networks.language import KVCache
from workers.model.prompts import EarlierAnswer, Task
from workers.model.vlm import Answer, Checkpoint, Decoding, never

STEP_TIMEOUT: Final = 600.0  # seconds without a step
_NO_MEMORY: Final = (MemoryError, torch.OutOfMemoryError)


class Engine(SteppingModel):
    """Answers several callers at once with one model; implements `vlm.VisionLanguageModel`."""

    def __init__(
        self,
        model: Llava,
        *,
        rows: int,
        new_tokens: int = 512,
        step_timeout: float = STEP_TIMEOUT,
        compiled: bool = False,
    ) -> None:
        """Start the engine's thread.

        Args:
            model: The model; only the engine may use it from now on.
            rows: Most answers that are written at once.
            new_tokens: Expected limit of an answer; a higher limit makes the cache grow.
            step_timeout: Seconds without a step after which waiting callers get EngineStopped.
            compiled: Compile the step first, which takes minutes; see `decode_step.CompiledStep`.
        """
        super().__init__(name="engine", step_timeout=step_timeout)
        self.model = model
        self._most = rows
        # Rows that may be in use now: fewer than `_most` while memory is short.
        self._room = rows
        self._compile = compiled
        self._compiled: CompiledStep | None = None
        self._cache = model.network.cache(rows=rows, slots=memory.slots(model.network, new_tokens))
        self._prefill = Prefill(model)
        self._next: deque[list[AnswerRequest]] = deque()
        self._reading: list[AnswerRequest] = []
        self._pieces: Pieces | None = None
        self._rows: list[AnswerRequest] = []
        self._waiting = RequestQueue()
        self._thread.start()

    @property
    def checkpoint(self) -> Checkpoint:
        """The loaded weights."""
        return self.model.checkpoint

    @property
    def profile(self) -> None:
        """None: the prompts of a built-in model are part of it."""
        return

    @property
    def locates(self) -> bool:
        """Whether the model is configured to return heat maps."""
        return bool(self.model.located)

    @called
    def answer(  # noqa: PLR0913 - the keywords of every model, and the engine's own two
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
        """Return the model's answer about one image; see `vlm.VisionLanguageModel.answer`.

        An urgent request gets the next free row. `canceled` is called at each step of the engine, also
        while the request waits for a row. For each of `samples` one more answer is written, without
        reading the image again; a sample that fails is missing from `Answer.samples`. `earlier` is what
        was asked before in the same chat; an indication belongs to its first turn.

        Raises:
            EngineStopped: The engine has ended, or the device has not answered within the step timeout.
        """
        start = time.perf_counter()
        model = self.model
        pixels = torch.from_numpy(model.pixel_values(preprocess.gray_image(frame)))
        spent = (time.perf_counter() - start) * 1000
        turns = prompts.conversation(
            lambda kind, text: model.chat(kind, text, indication), earlier, task, question
        )
        ids = model.prompt_ids(turns)
        length = len(ids) - 1 + model.network.tokens_per_image

        def request_for(how: Decoding, asked: Sequence[str] = ()) -> AnswerRequest:
            writing = Writing(model.bounded(how, ids, length), model.ends)
            return AnswerRequest(pixels, turns, ids, asked, writing, canceled)

        request, beside = request_for(decoding, questions), tuple(map(request_for, samples))
        request.samples = beside
        with self._changed:
            self._check_open()
            self._waiting.add(request, urgent=urgent)
            self._changed.notify()
        answer = self._awaited(request.answer)
        timings = {"preprocess": spent, **answer.timings_ms}
        others = self._succeeded(one.answer for one in beside)
        return replace(answer, timings_ms=timings, samples=tuple(one.text for one in others))

    def chances(self, frame: NDArray[np.float32], questions: Sequence[str]) -> tuple[float, ...]:
        """Return the probabilities of yes; see `vlm.VisionLanguageModel.chances`."""
        one = Decoding(max_new_tokens=1)
        return self.answer(frame, Task.REPORT, questions=questions, decoding=one).chances

    @torch.inference_mode()
    def _run(self) -> None:
        try:
            self._prepare()
            while self._take():
                if self._pieces or self._next:
                    self._read_on()
                self._step()
                self._steps += 1
                self._forget_withdrawn()
        finally:
            # Also after an error of the engine: no caller may wait for an answer that never comes.
            with self._changed:
                self._closed = True
            unread = itertools.chain(self._reading, *self._next, self._waiting)
            for request in (*self._rows, *unread):
                request.fail(EngineStopped("the engine has ended"))

    def _take(self) -> bool:
        """Wait for work, then take the next requests to read; return False once the engine closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting or self._under_way)
            if self._closed:
                return False
            if self._pieces or self._next:
                return True
            free = self._room - len(self._rows)
            taken = self._waiting.taken(memory.TOGETHER, free, idle=not self._rows)
        active = [request for request in taken if not request.withdrawn()]
        if active:
            self._next.append(active)
        return True

    @property
    def _under_way(self) -> bool:
        return bool(self._rows or self._next or self._pieces)

    def _forget_withdrawn(self) -> None:
        """End the requests that were withdrawn while they wait or are being read."""
        with self._changed:
            self._waiting.forget_withdrawn()
        for request in itertools.chain(self._reading, *self._next):
            if not request.answer.done():
                request.withdrawn()

    def _read_on(self) -> None:
        """Read a piece of the next requests; read them to the end if no row waits for a token."""
        if self._pieces is None:
            self._reading = self._next.popleft()
            self._pieces = self._prefill.read(self._reading)
        requests = self._reading
        try:
            while True:
                next(self._pieces)
                if self._rows:
                    return
        except StopIteration as read:
            self._pieces, self._reading = None, []
            self._assign_rows(requests, *read.value)
        except _NO_MEMORY as error:
            self._pieces = None
            self._short(requests, error)
        except STEP_FAULTS as error:
            self._pieces = None
            for request in requests:
                request.fail(error)

    def _short(self, requests: list[AnswerRequest], error: BaseException) -> None:
        """Handle a lack of memory: read fewer requests at once, later, or without samples; else fail."""
        if len(requests) > 1:
            middle = len(requests) // 2
            self._next.extendleft((requests[middle:], requests[:middle]))
        elif self._rows:
            # The rows in use fit; more do not, until one of them ends.
            self._room = len(self._rows)
            with self._changed:
                self._waiting.put_back(requests[0])
        elif requests[0].drop_samples(error):
            self._next.appendleft(requests)
        else:
            requests[0].fail(error)

    def _assign_rows(self, requests: list[AnswerRequest], cache: KVCache, logits: Tensor) -> None:
        """Give requests that have been read their rows and their first token."""
        start = len(self._rows)
        for request in requests:
            request.start_samples()
        writers = [(one, row) for row, request in enumerate(requests) for one in request.writers]
        rows = [one for one, _ in writers]
        try:
            self._grow(rows)
            for number, (one, row) in enumerate(writers, start):
                self._cache.some(number, number + 1).copy_prefix(
                    cache.some(row, row + 1), one.length
                )
        except _NO_MEMORY as error:
            self._short(requests, error)
            return
        self._rows += rows
        self._extend(start, logits[[row for _, row in writers]])

    def _grow(self, requests: Sequence[AnswerRequest]) -> None:
        """Make the cache large enough for these requests beside the rows in use."""
        longest = max(
            request.length + request.writing.decoding.max_new_tokens for request in requests
        )
        slots = max(self._cache.slots, memory.rounded(longest))
        rows = max(self._cache.count, len(self._rows) + len(requests))
        if (rows, slots) != (self._cache.count, self._cache.slots):
            self._cache = self._cache.resized(rows=rows, slots=slots)
            self._prepare()

    def _prepare(self) -> None:
        """Compile the step for the present cache, if compilation is on."""
        self._compiled = None
        if self._compile:
            self._compiled = CompiledStep(self.model.network, self._cache)
            for size in self._compiled.sizes:
                self._compiled(torch.zeros((size, 2), dtype=torch.long, device=self.model.device))
                self._steps += 1  # compiling takes long, but is no hang

    def _step(self) -> None:
        """Free the rows that are finished or withdrawn, then give every other row its next token."""
        # From the end, because `_leave` moves the last row into the free place.
        for row in reversed(range(len(self._rows))):
            if self._rows[row].answer.done() or self._rows[row].withdrawn():
                self._leave(row)
            elif self._rows[row].writing.done:
                self._rows[row].finish(self.model)
                self._leave(row)
        if self._rows:
            self._advance(0, len(self._rows))

    def _advance(self, start: int, stop: int) -> None:
        rows = self._rows[start:stop]
        try:
            logits = self._next_logits(rows, start)
        except _NO_MEMORY as error:
            if len(rows) == 1:
                rows[0].fail(error)
                return
            # Half as many rows need less memory at once; only a single row that does not fit fails.
            middle = (start + stop) // 2
            self._advance(start, middle)
            self._advance(middle, stop)
        except STEP_FAULTS as error:
            self._drop(rows, start, error)
        else:
            for request in rows:
                request.length += 1
            self._extend(start, logits)

    def _next_logits(self, rows: Sequence[AnswerRequest], start: int) -> Tensor:
        """Return the logits [B, V] after the last id of each row."""
        last = torch.tensor(
            [[request.writing.ids[-1], request.length] for request in rows],
            device=self.model.device,
        )
        # The step is compiled for the first rows of the cache only.
        if self._compiled is not None and start == 0:
            return self._compiled(last)
        cache = self._cache.some(start, start + len(rows))
        in_sight = max(request.length for request in rows) + 1
        return next_logits(self.model.network, cache, last, in_sight)

    def _extend(self, start: int, logits: Tensor) -> None:
        rows = self._rows[start : start + len(logits)]
        finite = generate.extend([request.writing for request in rows], logits)
        for row, (request, good) in enumerate(zip(rows, finite, strict=True), start):
            if not good:
                fault = GenerationError("the model computed logits that are not finite")
                self._drop([request], row, fault)

    def _drop(self, requests: Sequence[AnswerRequest], start: int, error: BaseException) -> None:
        # A masked slot has weight zero, but zero times NaN is NaN: none may stay in an unseen slot.
        self._cache.some(start, start + len(requests)).clear()
        for request in requests:
            request.fail(error)

    def _leave(self, row: int) -> None:
        """Free a row; the last row moves into its place."""
        last = self._rows.pop()
        if row < len(self._rows):
            self._cache.move(len(self._rows), row, last.length)
            self._rows[row] = last
        # After a lack of memory, all rows are tried again once none is in use.
        self._room = self._most if not self._rows else max(self._room, len(self._rows))
