"""Changes of a job's state: one conditional UPDATE and one line of history."""

import pytest

from service.errors import LeaseLost, NotFound
from service.jobs import Action, IllegalTransition, JobState
from service.store.transitions import Change, later_drafts
from tests.service.store.records import actions, claimed, drafted, schedule

BY = Change(actor="t", code="CODE", reason="Why.")


def move(store, job, state, action, change=BY):
    """Apply an action in a transaction of its own."""
    with store._writing() as session:
        return store._move(session, job.id, state, action, change)


def test_a_change_has_its_reason_and_a_line_of_history(store, clock):
    """The lease ends with the state."""
    job = claimed(store)
    assert move(store, job, JobState.IN_PROGRESS, Action.FAIL) is JobState.FAILED
    after = store.job(job.id)
    assert (after.reason_code, after.reason, after.updated_at) == ("CODE", "Why.", clock())
    assert (after.lease_owner, after.lease_until) == ("", None)
    last = store.events(job.id)[-1]
    assert (last.actor, last.action) == ("t", "fail")
    assert (last.from_state, last.to_state) == (JobState.IN_PROGRESS, JobState.FAILED)


def test_what_the_table_does_not_allow_changes_nothing(store):
    """Neither from its state, nor from an earlier one."""
    job = claimed(store)
    before = actions(store, job)
    with pytest.raises(IllegalTransition):
        move(store, job, JobState.IN_PROGRESS, Action.RESEND)
    with pytest.raises(IllegalTransition, match="no longer SCHEDULED"):
        move(store, job, JobState.SCHEDULED, Action.CANCEL)
    assert actions(store, job) == before


def test_an_earlier_claim_changes_nothing(store, clock):
    """By its number, or because the lease has not ended."""
    job = claimed(store)
    stale = Change(actor="t", fence=job.fence - 1)
    with pytest.raises(LeaseLost, match=f"claim {job.fence - 1} no longer holds it"):
        move(store, job, JobState.IN_PROGRESS, Action.FAIL, stale)
    early = Change(actor="t", fence=job.fence, lapsed_at=clock())
    with pytest.raises(LeaseLost):
        move(store, job, JobState.IN_PROGRESS, Action.HAND_BACK, early)


def test_an_unknown_job_or_study_is_not_found(store):
    """The message has the beginning of the id."""
    with store._reading() as session:
        with pytest.raises(NotFound, match="no job 00000000"):
            store._row(session, "0" * 32)
        with pytest.raises(NotFound, match=r"no study 9\.9"):
            store._lock_study(session, "9.9")


def test_later_drafts_are_those_that_stand(store):
    """A later revision with a draft that is not withdrawn."""
    first = claimed(store)
    drafted(store, first)
    second = claimed(store, 2)
    with store._reading() as session:
        row = store._row(session, first.id)
        assert session.scalars(later_drafts(row)).all() == []
    drafted(store, second, source=2)
    with store._reading() as session:
        assert session.scalars(later_drafts(store._row(session, first.id))).all() == [second.id]
    store.withdraw(second.id, "Ann", "It errs.")
    with store._reading() as session:
        assert session.scalars(later_drafts(store._row(session, first.id))).all() == []


def test_the_end_of_a_reading_makes_later_revisions_due(store, clock):
    """They waited for it, even if published before."""
    first = claimed(store)
    second = schedule(store, force=True)
    store.mark_published([second.id], [], clock())
    drafted(store, first)
    with store._reading() as session:
        assert store._row(session, second.id).published_at is None
