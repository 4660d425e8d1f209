"""Drafts the studies by the site's reader, several at once, and keeps each result at once."""

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

from dicom.errors import DicomError
from dicom.selection.image_selection import Rules
from dicom.study import Study
from service.errors import EmptyText, ReaderStopped, ReadingCanceled, ReadingError
from service.system.signals import set_in_handler
from workers.evaluation.cases import Case
from workers.evaluation.draft_rows import drafted_row, empty_row, failed_row, refused_row
from workers.evaluation.pictures import small_picture, wrapped
from workers.evaluation.progress import Progress
from workers.evaluation.run_directory import RunDirectory
from workers.evaluation.safe_names import picture_name
from workers.reading.outcomes import NotAnalysed
from workers.reading.reader import Reader

_ATTEMPTS: Final = 3


# Makes the row of a case from its study.
RowOf = Callable[[Case, Study], dict[str, Any]]


class Stop:
    """Whether the run must end, and by which signal."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal = 0

    def __call__(self) -> bool:
        """Return whether the run must end."""
        return self._event.is_set()

    def end(self, number: int, frame: FrameType | None = None) -> None:
        """Note a signal; a second one ends the process at once."""
        del frame
        if self.signal or self._event.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = number
        set_in_handler(self._event)

    def halt(self) -> None:
        """Let no further study begin; may be called from any thread, and more than once."""
        self._event.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM for the duration of the block."""
        before = {each: signal.signal(each, self.end) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class CaseReading:
    """Reads cases, several at once, and writes their rows to the folder of the run."""

    def __init__(
        self,
        row_of: RowOf,
        run: RunDirectory,
        *,
        at_once: int,
        max_pixels: int,
        stop: Stop,
        progress: Progress,
    ) -> None:
        """Set up the reading.

        Args:
            row_of: Reads a case; called in several threads.
            run: Where the rows go.
            at_once: Studies in work at the same time.
            max_pixels: A larger picture is not read.
            stop: Ends the reading between two tokens.
            progress: Counts each finished study.
        """
        self._row_of = row_of
        self._run = run
        self._at_once = at_once
        self._max_pixels = max_pixels
        self._stop = stop
        self._progress = progress

    def read_all(self, cases: Sequence[Case]) -> None:
        """Read the cases; return when all are finished, or early if the run must stop.

        Raises:
            ReaderStopped: The model cannot read any more; what is finished is kept.
        """
        waiting = iter(cases)
        running: set[Future[dict[str, Any] | None]] = set()
        with (
            tempfile.TemporaryDirectory(prefix="wetread-evaluate-") as folder,
            ThreadPoolExecutor(self._at_once, thread_name_prefix="case") as pool,
        ):
            while True:
                while len(running) < self._at_once and not self._stop():
                    case = next(waiting, None)
                    if case is None:
                        break
                    running.add(pool.submit(self._row, case, Path(folder)))
                if not running:
                    return
                done, running = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    self._keep(future.result())
                self._progress.show()

    def _keep(self, row: dict[str, Any] | None) -> None:
        if row is not None:
            self._run.append(row)
            self._progress.finished(row)

    def _row(self, case: Case, folder: Path) -> dict[str, Any] | None:
        """Return the row of a case, None if the run stopped before it was finished."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._read(case, folder)
            except ReadingCanceled:
                return None
            except ReaderStopped:
                self._stop.halt()
                raise
            except EmptyText:
                return empty_row(case)
            except (ReadingError, DicomError, OSError) as error:
                retry = bool(getattr(error, "retry", False)) or isinstance(error, OSError)
                if not retry or attempt == _ATTEMPTS:
                    return failed_row(case, error, temporary=retry)
        return None

    def _read(self, case: Case, folder: Path) -> dict[str, Any]:
        if case.study is not None:
            return self._row_of(case, case.study)
        study = wrapped(case, folder, max_pixels=self._max_pixels)
        try:
            return self._row_of(case, study)
        finally:
            study.instances[0].path.unlink(missing_ok=True)


class DraftRows:
    """Makes the row of a case by letting the site's reader draft it."""

    def __init__(
        self,
        reader: Reader,
        run: RunDirectory,
        rules: Callable[[Case], Rules | None],
        stop: Stop,
        *,
        keep_text: bool,
    ) -> None:
        """Set up the drafting.

        Args:
            reader: The site's.
            run: Where pictures go.
            rules: Which images of a case may be read; None for those of the settings.
            stop: Ends the reading between two tokens.
            keep_text: Whether texts and pictures are kept, or labels only.
        """
        self._reader = reader
        self._run = run
        self._rules = rules
        self._stop = stop
        self._keep_text = keep_text

    def __call__(self, case: Case, study: Study) -> dict[str, Any]:
        """Return the row of a case.

        Raises:
            ReadingError: The study cannot be read.
        """
        outcome = self._reader.draft(
            study,
            produced_at=datetime.now(UTC).replace(microsecond=0),
            rules=self._rules(case),
            canceled=self._stop,
        )
        if isinstance(outcome, NotAnalysed):
            return refused_row(case, outcome)
        if self._keep_text:
            self._run.write_bytes(picture_name(case.id), small_picture(outcome.image.pixels))
        return drafted_row(case, outcome, keep_text=self._keep_text)
