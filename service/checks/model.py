"""Checks that each configured model can be loaded and can read an image."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from service.checks.check import Check, Grade, Outcome
from service.settings.config import Settings
from service.system.supervisor import wetread_command

# The prefixes and the suffix by which `wetread load-model` marks lines.
_WARNING: Final = "warning: "
_STEP: Final = "..."
_SHOWN: Final = "shown: "
Say = Callable[[str], None]


def model_checks(settings: Settings, say: Say, seconds: float) -> Iterator[Check]:
    """Yield a check of each configured model.

    Args:
        settings: The settings, which name the models.
        say: Called with each step of a running check.
        seconds: How long a model may take to load and to read an image.
    """
    for name in (*settings.readings(), *settings.shadows()):
        yield Check(f"model {name}", partial(_model, name, say, seconds))


def _model(name: str, say: Say, seconds: float) -> Outcome:
    """Load a model and read an image in a child process, so that this process needs no torch."""
    process = subprocess.Popen(  # noqa: S603 - our own command, no shell
        wetread_command("load-model", "--model", name),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that `_end` also kills the compiler processes of torch
    )
    limit = threading.Timer(seconds, _end, [process])
    limit.start()
    try:
        lines = list(_lines(process, lambda line: say(f"model {name}: {line}")))
        process.wait()
        in_time = limit.is_alive()
    finally:
        limit.cancel()
        _end(process)
    if process.returncode and not in_time:
        step = lines[-1] if lines else "it was starting"
        return Outcome(f"not done after {seconds:g} s; the last step: {step}", Grade.FAULT)
    return _outcome(lines, process.returncode)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _lines(process: subprocess.Popen[str], say: Say) -> Iterator[str]:
    for line in process.stdout or ():
        text = line.strip()
        shown = text.startswith(_SHOWN)
        if shown or text.endswith(_STEP):
            say(text.removeprefix(_SHOWN))
        if text and not shown:
            yield text


def _outcome(lines: list[str], returncode: int) -> Outcome:
    if returncode:
        last = lines[-1] if lines else "no answer"
        return Outcome(last.removeprefix("wetread: "), Grade.FAULT)
    shown = [line for line in lines if not line.endswith(_STEP)]
    grade = Grade.WARNING if any(line.startswith(_WARNING) for line in shown) else Grade.OK
    return Outcome("; ".join(line.removeprefix(_WARNING) for line in shown), grade)
