"""Rejections have the numbers of PS3.8 table 9-21."""

from dicom.scp.storage_handler import Refusal


def test_result_source_and_reason():
    """Permanent for a wrong AE, transient for a limit."""
    assert Refusal.CALLING_AE_NOT_RECOGNIZED.value == (1, 1, 3)
    assert Refusal.CALLED_AE_NOT_RECOGNIZED.value == (1, 1, 7)
    assert Refusal.APPLICATION_CONTEXT_NOT_SUPPORTED.value == (1, 1, 2)
    assert Refusal.LOCAL_LIMIT_EXCEEDED.value == (2, 3, 2)
    assert Refusal.NO_REASON_GIVEN.value[0] == 2
