"""Exit statuses of decoders that gave no answer, and what they mean for the image."""

import os
import signal
from dataclasses import dataclass

from dicom.errors import DecoderSlow, OutOfResources


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a child ended that gave no answer."""

    words: str  # for messages
    by_itself: bool  # it crashed; otherwise the pool or the kernel killed it, or its parent ended
    error: type[OutOfResources] = OutOfResources  # raised if it did not crash


def slow(seconds: float) -> ExitStatus:
    """Return the status of a decoder that exceeded its time limit of `seconds`."""
    words = f"the decoder took longer than {seconds:g} s"
    return ExitStatus(words, by_itself=False, error=DecoderSlow)


def ending(status: int | None, seconds: float) -> ExitStatus:
    """Return what a wait status means (None: not reported); `seconds` is the time limit of an image."""
    if status is None:
        return ExitStatus("the decoders have ended", by_itself=False)
    if not os.WIFSIGNALED(status):
        return ExitStatus(f"exit status {os.WEXITSTATUS(status)}", by_itself=True)
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return slow(seconds)
    if number == signal.SIGKILL:
        return ExitStatus(
            "the decoder was killed, as the kernel does when memory ends", by_itself=False
        )
    return ExitStatus(signal.Signals(number).name, by_itself=True)
