"""The figures in memory follow the database: new, amended and undone decisions, also of others."""

import pytest

from service.audit import AuditAction, AuditEvent
from service.monitoring.decision_figures import DecisionFigureCache
from service.review.figures import Grouping, figures_by
from service.review.words import Verdict


@pytest.fixture
def figures(store):
    """The figures of a store."""
    return DecisionFigureCache(store)


def decide(store, job, request, reviewer, key):
    """Record a decision."""
    audit = AuditEvent(action=AuditAction.DECIDED, actor=reviewer.display_name)
    return store.decide(job.id, request, reviewer, key=key, digest=key, audit=audit)


def test_figures_follow_every_decision(store, figures, reviewing, clock):
    """After each step the figures in memory are those of the facts in the database."""

    def check():
        for grouping in Grouping:
            expected = figures_by(store.decision_facts(), grouping)
            assert figures.figures(grouping) == expected

    check()
    jobs = [reviewing.drafted(store, study=f"1.2.{number}") for number in (3, 4)]
    first = decide(store, jobs[0], reviewing.request(), reviewing.roentgen, "a")
    check()
    store.undo(first.id, reviewing.roentgen, reviewing.audit)
    check()
    second = decide(store, jobs[0], reviewing.edit(), reviewing.curie, "b")
    decide(store, jobs[1], reviewing.rejection(), reviewing.roentgen, "c")
    check()
    clock.move(3600)
    decide(store, jobs[0], reviewing.edit(amends=second.id), reviewing.roentgen, "d")
    check()
    made, undone = figures.counts()
    assert made == {Verdict.ACCEPT: 1, Verdict.EDIT: 2, Verdict.REJECT: 1}
    assert undone == 1
    # The amendment replaces the decision of the other person.
    assert figures.figures(Grouping.ALL, reviewer_id=reviewing.curie.id) == []


def test_a_decision_with_an_earlier_time_is_counted(store, figures, reviewing, clock):
    """A transaction that began earlier, or a clock that was set back by an hour."""
    jobs = [reviewing.drafted(store, study=f"1.2.{number}") for number in (3, 4)]
    decide(store, jobs[0], reviewing.request(), reviewing.roentgen, "a")
    assert figures.figures(Grouping.ALL)[0].n == 1
    clock.move(-3600)
    decide(store, jobs[1], reviewing.request(), reviewing.roentgen, "b")
    assert figures.figures(Grouping.ALL)[0].n == 2
