"""Storage commitment reports: pending, claimed by one sender at a time, sent or given up."""

from datetime import timedelta

import pytest

from dicom.scu.commitment_request import CommitmentRequest, Reference
from service.audit import AuditAction, AuditEvent
from service.errors import LeaseLost
from service.records import CommitmentState

AUDIT = AuditEvent(action=AuditAction.RETRIED, actor="kim")


def owe(store, transaction="1.2", ae_title="CR1"):
    """Record a pending report."""
    request = CommitmentRequest(
        transaction_uid=transaction,
        references=(Reference(sop_class_uid="1.2.840", sop_instance_uid="1.1"),),
    )
    store.owe_report(request, ae_title=ae_title, host="10.0.0.7", port=104)
    return request


def test_a_report_is_claimed_extended_and_ended(store, clock):
    """The claim has its own number; after the end nothing is due."""
    request = owe(store)
    assert store.is_report_due()
    report = store.claim_report("sweeper", 60)
    assert (report.request, report.attempts, report.fence) == (request, 1, 1)
    assert (report.host, report.port, report.failures) == ("10.0.0.7", 104, None)
    assert store.claim_report("other", 60) is None
    store.extend_report(report, 60, failures={"1.1": 0x0112})
    store.end_report(report)
    (ended,) = store.commitment_reports()
    assert (ended.state, ended.ended_at) == (CommitmentState.REPORTED, clock())
    assert ended.failures == {"1.1": 0x0112}
    assert not store.is_report_due()


def test_a_claim_that_ran_out_ends_nothing(store, clock):
    """Another process has the report now."""
    owe(store)
    first = store.claim_report("first", 60)
    clock.move(61)
    second = store.claim_report("second", 60)
    assert second.fence == 2
    with pytest.raises(LeaseLost):
        store.end_report(first)
    with pytest.raises(LeaseLost):
        store.extend_report(first, 60)


def test_a_repeated_request_is_owed_anew(store):
    """The report that is being sent for the earlier one ends nothing."""
    owe(store)
    held = store.claim_report("sweeper", 60)
    owe(store)
    with pytest.raises(LeaseLost):
        store.end_report(held)
    assert store.claim_report("sweeper", 60).attempts == 1
    assert len(store.commitment_reports()) == 1


def test_one_report_of_a_peer_is_sent_at_a_time(store):
    """Unless its sender asks for that peer's next one."""
    owe(store, "1.1")
    owe(store, "1.2")
    owe(store, "1.3", ae_title="CR2")
    claims = [store.claim_report("sweeper", 60) for _ in range(3)]
    assert [each and each.ae_title for each in claims] == ["CR1", "CR2", None]
    assert store.claim_report("sweeper", 60, ae_title="CR1").request.transaction_uid == "1.2"


def test_a_peer_that_is_away_delays_its_other_reports(store, clock):
    """The next attempt of all of them is due together; an accepted report makes them due at once."""
    owe(store, "1.1")
    owe(store, "1.2")
    report = store.claim_report("sweeper", 60)
    pause = timedelta(seconds=30)
    store.postpone_report(report, pause, "x" * 900, is_peer_away=True)
    assert not store.is_report_due()
    assert {each.next_at for each in store.commitment_reports()} == {clock() + pause}
    assert max(len(each.last_error) for each in store.commitment_reports()) == 500
    clock.move(30)
    store.postpone_report(store.claim_report("a", 60), pause, "once more", is_peer_away=False)
    store.end_report(store.claim_report("b", 60))
    assert store.is_report_due()


def test_old_reports_are_given_up_together_and_owed_again(store, clock):
    """One incident names their number; a person makes them due again."""
    owe(store, "1.1")
    owe(store, "1.2")
    before = clock()
    clock.move(3600)
    owe(store, "1.3")
    report = store.claim_report("sweeper", 60)
    assert store.give_up_reports(report, before, "It does not answer.") == 2
    (incident,) = store.incidents()
    assert incident.detail == "2 storage commitment reports were given up: It does not answer."
    backlogs = {each.state: each.count for each in store.commitment_backlogs()}
    assert backlogs == {CommitmentState.GIVEN_UP: 2, CommitmentState.OWED: 1}
    assert store.owe_reports_again("CR9", AUDIT) == 0
    assert store.owe_reports_again("CR1", AUDIT) == 2
    assert len(store.commitment_reports(state=CommitmentState.OWED)) == 3


def test_claims_of_an_earlier_run_are_released_and_old_ends_removed(store, clock):
    """A restarted sweeper continues at once; ended reports are kept for a while."""
    owe(store)
    held = store.claim_report("sweeper", 60)
    assert store.release_reports("sweeper") == 1
    with pytest.raises(LeaseLost):
        store.end_report(held)
    store.end_report(store.claim_report("sweeper", 60))
    assert store.remove_ended_reports(clock()) == 0
    assert store.remove_ended_reports(clock.move(1)) == 1


def test_a_time_from_a_clock_that_was_ahead_is_due(store, clock):
    """No pause and no lease is longer than five minutes."""
    clock.move(7200)
    owe(store)
    store.claim_report("sweeper", 60)
    clock.move(-7200)
    assert store.is_report_due()
    assert store.claim_report("other", 60) is not None
