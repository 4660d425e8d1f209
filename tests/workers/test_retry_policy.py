"""Whether an error's work is tried again, and its text for a user."""

import errno

import pytest

from dicom.errors import OutOfResources, PixelError
from service.errors import (
    DraftingStopped,
    ModelServerAway,
    PermanentReadingError,
    StoreUnavailable,
    TransientReadingError,
)
from workers.retry_policy import backoff, code, is_outage, may_pass, sentence, where


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (TransientReadingError("x"), True),
        (PermanentReadingError("x"), False),
        (OutOfResources("x"), True),
        (PixelError("x"), False),
        (OSError(errno.EIO, "x"), True),
        (MemoryError(), True),
        (ValueError("x"), False),
    ],
)
def test_what_may_pass(error, retried):
    """By the error's class; an unforeseen one is not repeated."""
    assert may_pass(error) is retried


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EIO, "x"), False),
        (StoreUnavailable("x"), True),
        (ModelServerAway("x"), True),
        (DraftingStopped("x"), True),
        (TransientReadingError("x"), False),
    ],
)
def test_what_is_no_fault_of_the_study(error, outage):
    """It uses up no attempt."""
    assert is_outage(error) is outage


def test_sentences_hold_nothing_of_the_patient():
    """Our own messages, the system's reason, or only the type."""
    assert sentence(PixelError("The image is cut off.")) == "The image is cut off."
    assert sentence(OSError(errno.EIO, "Input/output error", "/DOE^JOHN")) == (
        "The file system failed: Input/output error."
    )
    assert "DOE" not in sentence(ValueError("DOE^JOHN"))
    assert "(ValueError)" in sentence(ValueError("DOE^JOHN"))


def test_codes_are_the_names_of_the_classes():
    """In capitals with underscores."""
    assert code(PixelError()) == "PIXEL_ERROR"
    assert code(ZeroDivisionError()) == "ZERO_DIVISION_ERROR"
    assert code(OSError()) == "OSERROR"


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 2), (2, 4), (3, 8), (4, 10), (500, 10)])
def test_the_pause_doubles_up_to_a_limit(attempts, seconds):
    """Also after very many attempts."""
    assert backoff(attempts, first=2, longest=10) == seconds


def test_the_place_of_an_error_has_no_value():
    """File, line and function."""
    message = "DOE^JOHN"
    with pytest.raises(ValueError, match="DOE") as caught:
        raise ValueError(message)
    found = where(caught.value)
    assert found.startswith("test_retry_policy.py:")
    assert "DOE" not in found
