"""Structured logs: an event name and keys; never a patient attribute, never a data set."""

import logging
import sys
import warnings

import structlog

from service.sections import Log


def configure_logging(settings: Log, *, process: str) -> None:
    """Send every event of this process, of ours and of the libraries, to standard error.

    Args:
        settings: Least level and format.
        process: The part that this process is ("receive", "worker"), bound to each line.
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
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # A level on their loggers would not last: pydicom sets its own when it is imported.
    handler.addFilter(_quotes_nobody)
    # These tell of every message and of every look at the database; we log what they mean.
    for name in ("alembic", "celery"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # The same words would go to standard error past the log.
    warnings.filterwarnings("ignore", module="pydicom")
    structlog.contextvars.bind_contextvars(process=process)


def _quotes_nobody(record: logging.LogRecord) -> bool:
    """Return False for what pynetdicom and pydicom log: they quote values of data sets."""
    return record.name.partition(".")[0] not in {"pynetdicom", "pydicom"}


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
