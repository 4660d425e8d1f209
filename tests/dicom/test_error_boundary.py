"""An unexpected error is logged without its message, and the peer gets a failure."""

import logging

import pytest

from dicom.error_boundary import error_boundary, places

MESSAGE = "PatientName=Film^Anna"


def fail():
    """Raise an error that quotes a patient."""
    raise ValueError(MESSAGE)


def test_a_result_passes():
    """Without an error nothing changes."""
    assert error_boundary(lambda: 0x0000, 0xC000, lambda: "CR1") == 0x0000


def test_an_error_becomes_the_other_result(caplog):
    """The log has the kind, the peer and the place, and no value of the patient."""
    with caplog.at_level(logging.ERROR):
        assert error_boundary(fail, 0xC000, lambda: "CR1") == 0xC000
    (record,) = caplog.records
    assert "unexpected ValueError (association with CR1)" in record.getMessage()
    assert "in fail" in record.getMessage()
    assert "Anna" not in record.getMessage()


def test_places_have_no_message():
    """The traceback names file and function only."""
    with pytest.raises(ValueError, match="Anna") as caught:
        fail()
    assert "test_error_boundary.py" in places(caught.value)
    assert "Anna" not in places(caught.value)
