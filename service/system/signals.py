"""Signal handlers: SIGTERM and SIGINT stop a process in order, SIGHUP reloads its settings."""

import _thread
import os
import signal
import threading
from collections.abc import Callable


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on; call it in the main thread only."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: set_in_handler(stop))
    return stop


def set_in_handler(event: threading.Event) -> None:
    """Set an event from a signal handler.

    A handler interrupts the main thread anywhere, also where that holds the event's lock: in `wait`, or
    in the handler of an earlier signal. `event.set()` would then wait for that lock forever, so another
    thread calls it. `threading.Thread` takes locks itself; this function of `_thread` takes none.
    """
    try:
        _thread.start_new_thread(event.set, ())
    except RuntimeError:  # no thread can be started
        event.set()


def ignore_sighup() -> None:
    """Ignore SIGHUP, which would end this process, until `on_sighup` sets a handler.

    A process is ready after seconds, with a model after minutes.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def on_sighup(reload: Callable[[], None], stop: threading.Event | None = None) -> None:
    """Call `reload` in the main thread at each SIGHUP from now on.

    Args:
        reload: Must return at once.
        stop: Set instead of calling `reload` if this process has lost its terminal.
    """
    had_terminal = stop is not None and _has_terminal()

    def act(*_: object) -> None:
        if stop is not None and had_terminal and not _has_terminal():
            set_in_handler(stop)
        else:
            reload()

    signal.signal(signal.SIGHUP, act)


def end_quietly() -> None:
    """Ignore further SIGTERM and SIGHUP while the interpreter ends, if this process handles them.

    The interpreter removes the handlers first: a later signal would then make the process seem killed.
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
