"""Refusals of the receiver are counted, limited in number, and shown with what to do."""

from datetime import timedelta

import pytest

from dicom.scp.refusals import Cause, NotAccepted
from service.receiver.refusals import Refusals
from service.store.refusals import MOST_ROWS, OTHERS
from service.web.status.refusal_text import (
    class_label,
    refusal_advice,
    refusal_lines,
    refusal_sentence,
)

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def refused(cause=Cause.SOP_CLASS, *, calling_ae="ROUTER_1", uid=ULTRASOUND, address="10.0.0.7"):
    """One refusal."""
    return NotAccepted(cause=cause, calling_ae=calling_ae, address=address, sop_class_uid=uid)


def test_counts_add_up_and_state_what_to_do(store):
    """One row for each peer, cause and SOP Class, across writes and processes."""
    counting = Refusals(store)
    for _ in range(5):
        counting.add(refused())
    counting.write()
    for _ in range(7):
        counting.add(refused())
    counting.add(refused(Cause.CALLING_AE, calling_ae="STRANGER", uid=""))
    counting.write()
    counting.write()
    rows = {each.refused.calling_ae: each for each in store.refusals()}
    assert rows["ROUTER_1"].count == 12
    assert refusal_sentence(rows["ROUTER_1"]) == (
        "ROUTER_1 at 10.0.0.7 offered Ultrasound Image Storage (1.2.840.10008.5.1.4.1.1.6.1) "
        "12 times: SOP Class not accepted."
    )
    assert "receiver.storage_classes" in refusal_advice(rows["ROUTER_1"])
    assert refusal_sentence(rows["STRANGER"]) == (
        "STRANGER at 10.0.0.7, once: calling AE title not accepted."
    )
    assert "receiver.callers" in refusal_advice(rows["STRANGER"])
    assert store.refusal_totals() == {
        (Cause.SOP_CLASS, ULTRASOUND): 12,
        (Cause.CALLING_AE, ""): 1,
    }


def test_the_contexts_of_one_calling_ae_are_one_line(store):
    """An Orthanc offers all its classes; other senders and other causes keep their lines."""
    counting = Refusals(store)
    for number in range(49):
        counting.add(refused(calling_ae="ORTHANC", uid=f"1.2.840.10008.5.1.4.1.1.88.{number}"))
    counting.add(refused(Cause.TRANSFER_SYNTAX, calling_ae="ORTHANC"))
    counting.add(refused(Cause.CALLING_AE, calling_ae="ORTHANC", uid=""))
    counting.add(refused())
    counting.write()
    lines = {each.sentence: each for each in refusal_lines(store.refusals(limit=1000))}
    assert len(lines) == 3
    folded = lines["ORTHANC offered presentation contexts of 50 SOP Classes that are not accepted."]
    assert len(folded.parts) == 50
    assert any(ULTRASOUND in each for each in folded.parts)
    assert len(folded.advice) == 2
    assert not lines["ORTHANC at 10.0.0.7, once: calling AE title not accepted."].parts


def test_a_peer_that_tries_many_names_fills_nothing(store):
    """Beyond the bound new names are counted together; those with a row continue counting."""
    counting = Refusals(store)
    counting.add(refused())
    counting.write()
    for number in range(2 * MOST_ROWS):
        counting.add(refused(Cause.CALLING_AE, calling_ae=f"TRY{number}", uid=""))
    counting.write()
    counting.add(refused())
    for number in range(MOST_ROWS):
        counting.add(refused(Cause.CALLING_AE, calling_ae=f"MORE{number}", uid=""))
    counting.write()
    rows = store.refusals(limit=10 * MOST_ROWS)
    assert len(rows) <= MOST_ROWS + len(Cause)
    assert sum(each.count for each in rows) == 3 * MOST_ROWS + 2
    assert OTHERS in {each.refused.calling_ae for each in rows}
    assert [each.count for each in rows if each.refused.sop_class_uid] == [2]


def test_a_name_that_no_database_takes_is_counted_with_the_others(store):
    """PostgreSQL refuses NUL, and both refuse half a surrogate pair: no peer can stop the counting."""
    store.add_refusals(
        {refused(calling_ae="A\0B"): 1, refused(calling_ae="C\udc80"): 2, refused(): 3}
    )
    names = {each.refused.calling_ae: each.count for each in store.refusals()}
    assert names == {"A?B": 1, "C?": 2, "ROUTER_1": 3}


def test_old_rows_make_room(store, clock):
    """Rows whose last refusal is more than 90 days old are replaced by new ones."""
    counting = Refusals(store)
    for number in range(MOST_ROWS - 1):
        counting.add(refused(Cause.CALLING_AE, calling_ae=f"OLD{number}", uid=""))
    counting.write()
    clock.move(timedelta(days=91).total_seconds())
    for number in range(2):
        counting.add(refused(calling_ae=f"NEW{number}"))
    counting.write()
    assert len(store.refusals(limit=10 * MOST_ROWS)) < 10


def test_nothing_is_lost_while_the_database_is_away():
    """Counts are kept until a later write succeeds."""
    from service.errors import StoreUnavailable  # noqa: PLC0415 - used here only

    written = []

    class Away:
        def add_refusals(self, counts):
            """Fail once, then accept them."""
            if not written:
                written.append(None)
                raise StoreUnavailable("away")
            written.append(dict(counts))

    counting = Refusals(Away())
    counting.add(refused())
    counting.write()
    counting.add(refused())
    counting.write()
    assert written == [None, {refused(): 2}]


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_its_advice(cause):
    """Each cause has a next step."""
    from service.records import RefusalCount  # noqa: PLC0415
    from service.store.session import utc_now  # noqa: PLC0415

    now = utc_now()
    each = RefusalCount(refused=refused(cause, uid=""), count=1, first_at=now, last_at=now)
    assert refusal_advice(each).endswith(".")


def test_metric_labels_are_names_of_the_standard():
    """A UID that a peer made up is no label."""
    assert class_label(ULTRASOUND) == "Ultrasound Image Storage"
    assert class_label("1.2.3.4.5") == "other"
    assert class_label("") == ""
