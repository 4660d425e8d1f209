"""The messages about refusals."""

from datetime import UTC, datetime

import pytest

from dicom.scp.refusals import Cause, NotAccepted
from service.records import RefusalCount
from service.web.status.refusal_text import (
    class_label,
    class_name,
    refusal_advice,
    refusal_lines,
    refusal_sentence,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)
US = "1.2.840.10008.5.1.4.1.1.6.1"


def count(cause=Cause.CALLING_AE, number=1, name="CR1", **changes):
    """Return a count of refusals."""
    refused = NotAccepted(cause=cause, calling_ae=name, address="10.0.0.7", **changes)
    return RefusalCount(refused=refused, count=number, first_at=AT, last_at=AT)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_its_advice(cause):
    """A sentence."""
    assert refusal_advice(count(cause)).endswith(".")


def test_sentences_name_peer_class_and_number():
    """As far as they are known."""
    assert refusal_sentence(count(number=2)) == (
        f"CR1 at 10.0.0.7, 2 times: {Cause.CALLING_AE.value}."
    )
    offered = refusal_sentence(count(Cause.SOP_CLASS, sop_class_uid=US))
    assert offered.startswith(f"CR1 at 10.0.0.7 offered Ultrasound Image Storage ({US}) once: ")
    assert refusal_sentence(count(name="")).startswith("A peer without AE title at")


def test_contexts_of_one_sender_are_one_line():
    """With a sentence for each; other refusals have lines of their own."""
    lines = refusal_lines(
        [
            count(Cause.SOP_CLASS, sop_class_uid=US),
            count(),
            count(Cause.TRANSFER_SYNTAX, sop_class_uid="1.2.3"),
            count(Cause.SOP_CLASS, name="CR2", sop_class_uid=US),
        ]
    )
    assert [len(each.parts) for each in lines] == [2, 0, 0]
    assert "contexts of 2 SOP Classes that are not accepted" in lines[0].sentence
    assert len({each.key for each in lines}) == 3


def test_names_of_classes():
    """A UID without a name is itself; in metrics it is "other"."""
    assert class_name("1.2.3") == "1.2.3"
    assert class_label(US) == "Ultrasound Image Storage"
    assert (class_label("1.2.3"), class_label("")) == ("other", "")
