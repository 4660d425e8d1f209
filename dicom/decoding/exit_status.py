"""How a decoder ended that gave no answer, and what that says of its film."""

import os
import signal
from dataclasses import dataclass

from dicom.errors import DecoderSlow, OutOfResources


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a child ended that gave no answer, in words."""

    words: str
    by_itself: bool  # it crashed; otherwise it was ended by us, by the kernel or with its parent
    error: type[OutOfResources] = OutOfResources  # where it did not crash


def slow(seconds: float) -> ExitStatus:
    """Return the end of a decoder that took too long."""
    words = f"the decoder took longer than {seconds:g} s"
    return ExitStatus(words, by_itself=False, error=DecoderSlow)


def ending(status: int | None, seconds: float) -> ExitStatus:
    """Return what a wait status means, None where nobody told it; `seconds` a film may take."""
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
