"""Wait statuses of decoders that ended without an answer."""

import signal

import pytest

from dicom.decoding.exit_status import exit_status_of
from dicom.errors import DecoderSlow, OutOfResources


@pytest.mark.parametrize(
    ("status", "message", "crashed"),
    [
        (None, "the decoders have ended", False),
        (3 << 8, "exit status 3", True),
        (signal.SIGSEGV, "SIGSEGV", True),
        (signal.SIGABRT | 0x80, "SIGABRT", True),
        (signal.SIGXCPU, "the decoder took longer than 2.5 s", False),
    ],
)
def test_a_status_has_a_message(status, message, crashed):
    """The message, and whether the image caused the failure."""
    found = exit_status_of(status, 2.5)
    assert (found.message, found.crashed) == (message, crashed)


def test_only_an_exceeded_time_has_an_error_of_its_own():
    """A killed decoder is reported as a lack of resources, a slow one as slow."""
    assert exit_status_of(signal.SIGXCPU, 1).error is DecoderSlow
    killed = exit_status_of(signal.SIGKILL, 1)
    assert (killed.error, killed.crashed) == (OutOfResources, False)


def test_a_real_time_signal_has_a_message():
    """Signals without a message of their own are reported as a crash."""
    found = exit_status_of(signal.SIGRTMIN + 1, 1)
    assert (found.message, found.crashed) == (f"signal {signal.SIGRTMIN + 1}", True)
