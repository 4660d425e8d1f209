"""Exit statuses of decoders that gave no answer, and what they mean for the image."""

import os
import signal
from dataclasses import dataclass

from dicom.errors import DecoderSlow, OutOfResources


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a child ended that gave no answer."""

    message: str  # for messages
    crashed: bool  # it crashed; otherwise the pool or the kernel killed it, or its parent ended
    error: type[OutOfResources] = OutOfResources  # raised if it did not crash


def timed_out(seconds: float) -> ExitStatus:
    """Return the status of a decoder that exceeded its time limit of `seconds`."""
    message = f"the decoder took longer than {seconds:g} s"
    return ExitStatus(message, crashed=False, error=DecoderSlow)


def exit_status_of(status: int | None, seconds: float) -> ExitStatus:
    """Return what a wait status means (None: not reported); `seconds` is the time limit of an image."""
    if status is None:
        return ExitStatus("the decoders have ended", crashed=False)
    if not os.WIFSIGNALED(status):
        return ExitStatus(f"exit status {os.WEXITSTATUS(status)}", crashed=True)
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return timed_out(seconds)
    if number == signal.SIGKILL:
        return ExitStatus(
            "the decoder was killed (SIGKILL), as by the kernel when memory is short", crashed=False
        )
    return ExitStatus(_name_of(number), crashed=True)


def _name_of(number: int) -> str:
    """Return the name of a signal; real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
