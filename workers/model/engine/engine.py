"""One thread owns the model; the answers of many callers grow together, one token each a step.

A caller prepares its film in its own thread, hands over an order and waits. The engine takes waiting
orders, urgent ones first, into free rows between two steps, reads their films and prompts together, and
gives each row back the moment its answer ends, so a long answer holds up nobody and a short one is not
held up. Rows do not see each other: in float32 the greedy answer does not depend on who else is there.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.model import preprocess
from workers.model.checkpoints.llava import Llava
from workers.model.engine.prefill import Pieces, Prefill
from workers.model.engine.request import AnswerRequest
from workers.model.engine.request_queue import RequestQueue
from workers.model.errors import Cancelled, EngineStopped, GenerationError, ModelError
from workers.model.networks import generate, memory
from workers.model.networks.decode_step import CompiledStep, next_logits
from workers.model.networks.generate import Writing
from workers.model.networks.language import KVCache
from workers.model.prompts import Task
from workers.model.vlm import Answer, Checkpoint, Decoding, never

PATIENCE: Final = 600.0  # seconds without a step
_NO_MEMORY: Final = (MemoryError, torch.OutOfMemoryError)
# What a device, a file that is mapped into memory, or a film can bring about.
_FAULTS: Final = (RuntimeError, MemoryError, OSError, ModelError)


class Engine:
    """A model that answers several callers at once; itself a `vlm.VisionLanguageModel`."""

    def __init__(
        self,
        model: Llava,
        *,
        rows: int,
        new_tokens: int = 512,
        patience: float = PATIENCE,
        compiled: bool = False,
    ) -> None:
        """Start the engine's thread.

        Args:
            model: Nobody else may use it from now on.
            rows: Answers that grow together at most.
            new_tokens: Of an answer, as a rule; a longer one makes the cache grow.
            patience: Seconds without a step until those who wait are told that the device hangs.
            compiled: Compile the step first, which takes minutes; see `stepping.CompiledStep`.
        """
        self.model = model
        self._most = rows
        self._room = rows
        self._compile = compiled
        self._compiled: CompiledStep | None = None
        self._cache = model.network.cache(rows=rows, slots=memory.slots(model.network, new_tokens))
        self._desk = Prefill(model)
        self._next: deque[list[AnswerRequest]] = deque()
        self._reading: list[AnswerRequest] = []
        self._pieces: Pieces | None = None
        self._rows: list[AnswerRequest] = []
        self._waiting = RequestQueue()
        self._patience = patience
        self._changed = threading.Condition()
        self._closed = False
        self._steps = 0
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def checkpoint(self) -> Checkpoint:
        """What is running."""
        return self.model.checkpoint

    def answer(  # noqa: PLR0913 - the keywords of every model, and the engine's own two
        self,
        frame: NDArray[np.float32],
        task: Task,
        *,
        question: str = "",
        indication: str = "",
        questions: Sequence[str] = (),
        decoding: Decoding = Decoding(),  # noqa: B008 - frozen
        cancelled: Callable[[], bool] = never,
        urgent: bool = False,
        samples: Sequence[Decoding] = (),
    ) -> Answer:
        """Return what the model says of one film; see `vlm.VisionLanguageModel.answer`.

        An urgent one gets the next free row. `cancelled` is asked at each step of the engine, while the
        answer waits for a row too. For each of `samples` a further answer is written beside it, without
        reading the film again; what cannot be written is missing from `Answer.samples`.
        """
        start = time.perf_counter()
        model = self.model
        pixels = torch.from_numpy(model.pixel_values(preprocess.grey_image(frame)))
        spent = (time.perf_counter() - start) * 1000
        turns = model.chat(task, question, indication)
        ids = model.prompt_ids(turns)
        length = len(ids) - 1 + model.network.film_tokens

        def order_for(how: Decoding, asked: Sequence[str] = ()) -> AnswerRequest:
            writing = Writing(model.bounded(how, ids, length), model.ends)
            return AnswerRequest(pixels, turns, ids, asked, writing, cancelled)

        order, beside = order_for(decoding, questions), tuple(map(order_for, samples))
        order.samples = beside
        with self._changed:
            if self._closed:
                raise EngineStopped("the engine has ended")
            self._waiting.add(order, urgent=urgent)
            self._changed.notify()
        said = self._awaited(order)
        timings = {"preprocess": spent, **said.timings_ms}
        return replace(said, timings_ms=timings, samples=tuple(self._written(beside)))

    def chances(self, frame: NDArray[np.float32], questions: Sequence[str]) -> tuple[float, ...]:
        """Return the chances of yes; see `vlm.VisionLanguageModel.chances`."""
        one = Decoding(max_new_tokens=1)
        return self.answer(frame, Task.REPORT, questions=questions, decoding=one).chances

    def close(self) -> None:
        """End the thread; what is not finished is given up."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _awaited(self, order: AnswerRequest) -> Answer:
        """Return the answer; where no step ends for long, the device hangs."""
        while True:
            steps = self._steps
            try:
                return order.answer.result(timeout=self._patience)
            except TimeoutError:
                if order.answer.done():
                    raise
                if self._steps == steps:
                    raise EngineStopped("the device has not answered for long") from None

    def _written(self, samples: Sequence[AnswerRequest]) -> Iterator[str]:
        """Yield the texts of those that come to an end."""
        for one in samples:
            try:
                yield self._awaited(one).text
            except (Cancelled, EngineStopped):
                raise
            except _FAULTS:
                continue  # the answer that they stand beside is there

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
            with self._changed:
                self._closed = True
            unread = itertools.chain(self._reading, *self._next, self._waiting)
            for order in (*self._rows, *unread):
                order.fail(EngineStopped("the engine has ended"))

    def _take(self) -> bool:
        """Let waiting orders in, at least one where nothing is under way; False when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting or self._under_way)
            if self._closed:
                return False
            if self._pieces or self._next:
                return True
            free = self._room - len(self._rows)
            taken = self._waiting.taken(memory.TOGETHER, free, idle=not self._rows)
        wanted = [order for order in taken if not order.withdrawn()]
        if wanted:
            self._next.append(wanted)
        return True

    @property
    def _under_way(self) -> bool:
        return bool(self._rows or self._next or self._pieces)

    def _forget_withdrawn(self) -> None:
        """Let go what waits or is being read and is no longer wanted."""
        with self._changed:
            self._waiting.forget_withdrawn()
        for order in itertools.chain(self._reading, *self._next):
            if not order.answer.done():
                order.withdrawn()

    def _read_on(self) -> None:
        """Read a piece of the next orders; to their end where nobody else waits for a token."""
        if self._pieces is None:
            self._reading = self._next.popleft()
            self._pieces = self._desk.read(self._reading)
        orders = self._reading
        try:
            while True:
                next(self._pieces)
                if self._rows:
                    return
        except StopIteration as read:
            self._pieces, self._reading = None, []
            self._seat(orders, *read.value)
        except _NO_MEMORY as error:
            self._pieces = None
            self._short(orders, error)
        except _FAULTS as error:
            self._pieces = None
            for order in orders:
                order.fail(error)

    def _short(self, orders: list[AnswerRequest], error: BaseException) -> None:
        """Memory is short: fewer at once, or later."""
        if len(orders) > 1:
            middle = len(orders) // 2
            self._next.extendleft((orders[middle:], orders[:middle]))
        elif self._rows:
            # What is under way fits; more does not, until something has ended.
            self._room = len(self._rows)
            with self._changed:
                self._waiting.put_back(orders[0])
        elif orders[0].forgo(error):
            self._next.appendleft(orders)
        else:
            orders[0].fail(error)

    def _seat(self, orders: list[AnswerRequest], cache: KVCache, logits: Tensor) -> None:
        """Give orders that have been read their rows and their first token."""
        start = len(self._rows)
        for order in orders:
            order.share()
        writers = [(one, row) for row, order in enumerate(orders) for one in order.writers]
        rows = [one for one, _ in writers]
        try:
            self._grow(rows)
            for number, (one, row) in enumerate(writers, start):
                self._cache.some(number, number + 1).begin(cache.some(row, row + 1), one.length)
        except _NO_MEMORY as error:
            self._short(orders, error)
            return
        self._rows += rows
        self._extend(start, logits[[row for _, row in writers]])

    def _grow(self, orders: Sequence[AnswerRequest]) -> None:
        """Make the cache large enough for these orders beside those under way."""
        longest = max(order.length + order.writing.decoding.max_new_tokens for order in orders)
        slots = max(self._cache.slots, memory.rounded(longest))
        rows = max(self._cache.count, len(self._rows) + len(orders))
        if (rows, slots) != (self._cache.count, self._cache.slots):
            self._cache = self._cache.resized(rows=rows, slots=slots)
            self._prepare()

    def _prepare(self) -> None:
        """Make ready to step through the cache, which is another one than before."""
        self._compiled = None
        if self._compile:
            self._compiled = CompiledStep(self.model.network, self._cache)
            for size in self._compiled.sizes:
                self._compiled(torch.zeros((size, 2), dtype=torch.long, device=self.model.device))
                self._steps += 1  # it takes long, but nothing hangs

    def _step(self) -> None:
        """Give every row its next token, and let go those that are finished or not wanted."""
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
            middle = (start + stop) // 2
            self._advance(start, middle)
            self._advance(middle, stop)
        except _FAULTS as error:
            self._drop(rows, start, error)
        else:
            for order in rows:
                order.length += 1
            self._extend(start, logits)

    def _next_logits(self, rows: Sequence[AnswerRequest], start: int) -> Tensor:
        """Return [B, V], what follows the last id of each row."""
        last = torch.tensor(
            [[order.writing.ids[-1], order.length] for order in rows], device=self.model.device
        )
        if self._compiled is not None and start == 0:
            return self._compiled(last)
        cache = self._cache.some(start, start + len(rows))
        in_sight = max(order.length for order in rows) + 1
        return next_logits(self.model.network, cache, last, in_sight)

    def _extend(self, start: int, logits: Tensor) -> None:
        rows = self._rows[start : start + len(logits)]
        finite = generate.extend([order.writing for order in rows], logits)
        for row, (order, good) in enumerate(zip(rows, finite, strict=True), start):
            if not good:
                fault = GenerationError("the model computed logits that are not finite")
                self._drop([order], row, fault)

    def _drop(self, orders: Sequence[AnswerRequest], start: int, error: BaseException) -> None:
        # Zero times a value that is no number is none either: none may stay in an unseen slot.
        self._cache.some(start, start + len(orders)).clear()
        for order in orders:
            order.fail(error)

    def _leave(self, row: int) -> None:
        """Take a row out; the last one moves into its place."""
        last = self._rows.pop()
        if row < len(self._rows):
            self._cache.move(len(self._rows), row, last.length)
            self._rows[row] = last
        self._room = self._most if not self._rows else max(self._room, len(self._rows))
