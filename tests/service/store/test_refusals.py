"""Counts of refusals, in a bounded number of rows."""

import pytest

from dicom.scp.refusals import Cause, NotAccepted
from service.store import refusals
from service.store.refusals import OTHERS


def refused(calling_ae="CR1", cause=Cause.CALLING_AE, **changes):
    """Return a refusal."""
    return NotAccepted(cause=cause, calling_ae=calling_ae, address="10.0.0.7", **changes)


def test_equal_refusals_are_one_row(store, clock):
    """With the time of the first and of the last; the latest comes first."""
    begun = clock()
    store.add_refusals({refused(): 2, refused("CR2"): 1})
    store.add_refusals({refused(): 3})
    clock.move(60)
    store.add_refusals({refused("CR2"): 1})
    second, first = store.refusals()
    assert (first.refused, first.count, first.first_at) == (refused(), 5, begun)
    assert (second.refused.calling_ae, second.count, second.last_at) == ("CR2", 2, clock())
    assert store.refusal_totals() == {(Cause.CALLING_AE.value, ""): 7}


def test_what_peers_choose_is_cut_and_printable(store):
    """A NUL would lose all counts in PostgreSQL."""
    store.add_refusals({refused("A\0\n" + "B" * 40): 1})
    (row,) = store.refusals()
    assert row.refused.calling_ae == "A??" + "B" * 13


def test_many_peers_fill_a_bounded_number_of_rows(store, clock, monkeypatch):
    """Then new ones are counted together; rows of the last quarter are replaced."""
    monkeypatch.setattr(refusals, "MOST_ROWS", 3)
    store.add_refusals({refused(f"CR{number}"): 1 for number in range(3)})
    store.add_refusals({refused("CR1"): 1, refused("NEW"): 4})
    counts = {each.refused.calling_ae: each.count for each in store.refusals()}
    assert counts == {"CR0": 1, "CR1": 2, "CR2": 1, OTHERS: 4}
    clock.move(91 * 86400)
    store.add_refusals({refused("NEW"): 1})
    assert [each.refused.calling_ae for each in store.refusals()] == [OTHERS]


@pytest.mark.parametrize("cause", [Cause.SOP_CLASS, Cause.TRANSFER_SYNTAX])
def test_classes_are_counted_apart(store, cause):
    """For the metrics."""
    store.add_refusals({refused(cause=cause, sop_class_uid="1.2.3"): 2})
    assert store.refusal_totals() == {(cause.value, "1.2.3"): 2}
