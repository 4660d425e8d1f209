"""The thread of the sweeper that runs end-to-end checks."""

import threading
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.settings.config import Settings
from service.store import Store

# Time for the other parts to start before the first check.
_GRACE: Final = 20.0
_EVERY: Final = 1.0
_IDLE: Final = 5.0

log = get_logger(__name__)


def probe_until(store: Store, settings: Settings, owner: str, stop: threading.Event) -> None:
    """Run checks until `stop` is set; errors of the database are logged.

    While checks are off, only what an earlier one has left is removed.
    """
    if stop.wait(_GRACE):
        return
    # Imported here: the libraries of the destinations add half a second of CPU to the start.
    from service.sweeper.probe import ProbeRunner  # noqa: PLC0415

    runner = ProbeRunner(store, settings, owner)
    task = Task("end-to-end check", passed_on=(StoreError, OSError))
    while True:
        under_way: list[bool] = []
        try:
            task.attempt(lambda found=under_way: found.append(runner.tick()))  # type: ignore[misc]
        except (StoreError, OSError) as error:
            log.warning("probe_not_advanced", reason=type(error).__name__)
        if stop.wait(_EVERY if any(under_way) else _IDLE):
            return
