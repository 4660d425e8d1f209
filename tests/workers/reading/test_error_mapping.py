"""Errors of the layers below become errors of reading, whose class says whether to retry."""

import errno

import pytest

from dicom.errors import OutOfResources, PixelError
from service.errors import (
    ModelServerAway,
    PermanentReadingError,
    ReaderStopped,
    ReadingCanceled,
    TransientReadingError,
)
from workers.model.errors import (
    Canceled,
    CheckpointError,
    EngineStopped,
    ServerRefused,
    ServerUnavailable,
)
from workers.reading.error_mapping import reading_errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Canceled("x"), ReadingCanceled),
        (OutOfResources("x"), TransientReadingError),
        (PixelError("x"), PermanentReadingError),
        (EngineStopped("x"), ReaderStopped),
        (ServerUnavailable("x"), TransientReadingError),
        (ServerUnavailable("x", outage=True), ModelServerAway),
        (ServerRefused("x"), PermanentReadingError),
        (CheckpointError("x"), PermanentReadingError),
        (MemoryError("x"), TransientReadingError),
        (OSError(errno.EIO, "x"), TransientReadingError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: x"), TransientReadingError),
        (RuntimeError("can't start new thread"), TransientReadingError),
        (RuntimeError("shapes differ"), PermanentReadingError),
    ],
)
def test_each_error_has_its_class(error, kind):
    """And the first line of its message."""
    with pytest.raises(kind) as caught, reading_errors():
        raise error
    assert type(caught.value) is kind


def test_an_unforeseen_error_passes():
    """It is a fault of this program."""
    with pytest.raises(KeyError), reading_errors():
        raise KeyError


def test_a_message_is_one_short_line():
    """The traceback of a library does not reach the page."""
    text = "first\nsecond" + "x" * 900
    with pytest.raises(PermanentReadingError) as caught, reading_errors():
        raise RuntimeError(text)
    assert str(caught.value) == "the model failed: first"
