"""Structured logs: an event name and keys, never a patient attribute or a data set."""

import contextlib
import logging
import sys
import threading
import warnings
from typing import TextIO

import structlog

from dicom.error_boundary import places
from dicom.library import Library
from service.settings.config import zone_variables
from service.settings.keys.sections import Log
from service.system.time_zone import zone_fault


def configure_logging(settings: Log, *, process: str) -> None:
    """Write every log event of this process, also those of libraries, to standard error.

    Args:
        settings: The lowest level shown and the format.
        process: The part that runs in this process ("receive", "worker"), bound to each line.
    """
    level = getattr(logging, settings.level.upper())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    caught = structlog.processors.ExceptionRenderer(_without_message)
    finish: list[structlog.types.Processor] = [caught, renderer]
    lines = _Lines(sys.stderr)
    # Our own lines bypass `logging`, which would double the cost of a line.
    structlog.configure(
        processors=[*shared, *finish],
        logger_factory=lambda *_: lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # A level on their loggers would not last: pydicom sets its own when it is imported.
    handler.addFilter(_quotes_no_values)
    # Below WARNING these log every message and every schema check; our own events suffice.
    for name in ("alembic", "celery"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # Their warnings would write the same values to standard error, bypassing the log.
    warnings.filterwarnings("ignore", module="pydicom|highdicom")
    structlog.contextvars.bind_contextvars(process=process)
    if fault := zone_fault(*zone_variables()):
        get_logger(__name__).warning("time_zone_not_known", reason=fault)


def writes_json() -> bool:
    """Return whether `configure_logging` has been called with the format JSON."""
    return isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer)


class _Lines:
    """Writes finished lines; a line that cannot be written is dropped, so no Instance is refused."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Reentrant: a signal handler may log while its own thread is writing a line.
        self._lock = threading.RLock()

    def _write(self, line: str) -> None:
        """Write and flush the line at once, so that it is not lost if the process is killed."""
        # RuntimeError: a signal handler logs during a blocked write (reentrant call): drop its line.
        with self._lock, contextlib.suppress(OSError, ValueError, RuntimeError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    # The methods that `structlog` calls, by the level of the line.
    debug = info = warning = error = critical = _write


def _without_message(exc_info: structlog.typing.ExcInfo) -> str:
    """Format an exception by its type and places only: its message may quote a patient's value."""
    kind, error, _ = exc_info
    return f"Traceback (without message) of {kind.__name__}:\n{places(error)}"


def _quotes_no_values(record: logging.LogRecord) -> bool:
    """Return False for records of libraries that quote values of data sets."""
    return record.name.partition(".")[0] not in {"pynetdicom", "pydicom", "highdicom"}


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def report_untested_versions(*libraries: Library) -> None:
    """Log one warning for each library whose installed version was not tried."""
    for library in libraries:
        if not library.is_tested:
            get_logger(__name__).warning(
                "library_version_not_tested",
                library=library.name,
                installed=library.installed,
                tested=", ".join(library.tested),
                reason=library.consequence,
            )
