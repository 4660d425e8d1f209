"""Internal parts of Celery's worker that we use: reserved requests, SIGHUP handler, connection."""

from collections.abc import Callable
from typing import Any, Final

from celery import Celery, signals
from celery.worker import state
from kombu.connection import Connection

from dicom.library import Library
from service.system.signals import on_sighup
from service.system.socket_limits import REDIS_RETRY_SECONDS

LIBRARY: Final = Library(
    name="celery",
    tested=("5.7.0",),
    consequence=(
        "a worker that receives no messages is not replaced automatically, and connects "
        "again to Redis at Celery's own intervals"
    ),
)


def is_full(threads: int) -> bool:
    """Return whether Celery's worker has reserved `threads` requests or more; True if not known."""
    return not LIBRARY.is_tested or len(state.reserved_requests) >= threads


def process_class(app: Celery, reload: Callable[[], None]) -> type[Any]:
    """Return Celery's worker class with `reload` as the action of SIGHUP, instead of a restart."""
    if not LIBRARY.is_tested:
        signals.worker_ready.connect(lambda **_: on_sighup(reload), weak=False)
        return app.Worker  # type: ignore[no-any-return]

    class Process(app.Worker):  # type: ignore[misc, name-defined]  # made by Celery at run time
        _isatty: bool

        def install_platform_tweaks(self, worker: object) -> None:
            # With a terminal, Celery installs no SIGHUP handler of its own. That handler would run
            # `service/cli.py` as a script, whose imports fail, if a signal came before ours replaces it.
            is_terminal, self._isatty = self._isatty, True
            super().install_platform_tweaks(worker)
            self._isatty = is_terminal
            on_sighup(reload)

    return Process


def connect_again_soon(app: Celery) -> None:
    """Make `app` retry a lost connection every few seconds, however long the broker is away."""
    if LIBRARY.is_tested:
        app.amqp.Connection = _PromptConnection


class _PromptConnection(Connection):
    """A connection whose retries are REDIS_RETRY_SECONDS apart at most."""

    def ensure_connection(self, *arguments: Any, **options: Any) -> Connection:  # noqa: ANN401 - kombu's own
        """Return this connection once it is established."""
        waits = {"interval_max": REDIS_RETRY_SECONDS}
        super().ensure_connection(*arguments, **waits, **options)  # type: ignore[no-untyped-call]
        return self
