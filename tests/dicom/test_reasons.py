"""Each reason has a sentence for the radiologist."""

from dicom.reasons import Reason


def test_each_reason_has_a_sentence_of_its_own():
    """One or more whole sentences, none used twice."""
    sentences = [reason.sentence for reason in Reason]
    assert len(set(sentences)) == len(Reason)
    assert all(text[0].isupper() and text.endswith(".") for text in sentences)
    assert all(reason.value == reason.name for reason in Reason)
