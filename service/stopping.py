"""How a process is told to end: SIGTERM and SIGINT set an event, and each loop ends in its own order."""

import signal
import threading


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on; for the main thread only."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
