"""What signals do: SIGTERM and SIGINT end a process in order, SIGHUP has it load its settings again."""

import os
import signal
import threading
from collections.abc import Callable


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on; for the main thread only."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def survive_hangup() -> None:
    """Let SIGHUP end this process no more; what is to be done at it is set once the process is ready.

    A start takes seconds, with a model minutes.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def on_hangup(reload: Callable[[], None], stop: threading.Event | None = None) -> None:
    """Call `reload` at each SIGHUP from now on, in the main thread.

    Args:
        reload: Returns at once.
        stop: Set instead when the signal says that the terminal of this process was closed.
    """
    had_terminal = stop is not None and _has_terminal()

    def act(*_: object) -> None:
        if stop is not None and had_terminal and not _has_terminal():
            stop.set()
        else:
            reload()

    signal.signal(signal.SIGHUP, act)


def end_quietly() -> None:
    """Ignore a further SIGTERM or SIGHUP while the interpreter ends, if this process has heeded them.

    The interpreter takes its handlers away first: a process that ended in order would seem killed.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_IGN)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
