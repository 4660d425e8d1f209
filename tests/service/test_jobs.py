from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.jobs import (
    FINAL,
    JOB_NAMES,
    TRANSITIONS,
    Action,
    IllegalTransition,
    JobState,
    allowed,
    next_state,
)

ACTIONS = st.lists(st.sampled_from(list(Action)), max_size=30)
# Actions that only a person requests.
PERSONS = {Action.RETRY, Action.REDELIVER, Action.RESEND, Action.CANCEL}


def walk(actions):
    """The states that a new job goes through; a refused action changes nothing."""
    states = [JobState.SCHEDULED]
    for action in actions:
        try:
            states.append(next_state(states[-1], action))
        except IllegalTransition:
            states.append(states[-1])
    return states


@given(ACTIONS)
def test_a_result_is_never_sent_before_it_is_drafted(actions):
    """On every path to COMPLETED a job was DRAFTED just before."""
    states = walk(actions)
    for before, after in pairwise(states):
        if after is JobState.COMPLETED and before is not after:
            assert before is JobState.DRAFTED


@given(ACTIONS)
def test_the_service_alone_never_leaves_a_final_state(actions):
    """Once a job has ended, only a person's retry or redelivery continues it."""
    states = walk([action for action in actions if action not in PERSONS])
    ended = [state for state in states if state in FINAL]
    assert len(set(ended)) <= 1
    assert not ended or states[-1] is ended[0]


@given(ACTIONS)
def test_a_completed_job_stays_completed(actions):
    """Only sending again leads out of COMPLETED: another reading is another revision."""
    states = walk([action for action in actions if action is not Action.RESEND])
    if JobState.COMPLETED in states:
        assert set(states[states.index(JobState.COMPLETED) :]) == {JobState.COMPLETED}


@given(ACTIONS)
def test_only_a_claim_starts_a_reading(actions):
    """A job is never IN_PROGRESS without a claim, so there is always a lease."""
    states = walk(actions)
    for before, after, action in zip(states, states[1:], actions, strict=False):
        if after is JobState.IN_PROGRESS and before is not after:
            assert (before, action) == (JobState.SCHEDULED, Action.CLAIM)


def test_every_state_can_be_reached_and_no_unfinished_one_is_a_dead_end():
    """From SCHEDULED every state is reachable; from each that is not final, an end is."""

    def reach(state, known=frozenset()):
        found = {state} | known
        for action in allowed(state):
            target = next_state(state, action)
            if target not in found:
                found |= reach(target, frozenset(found))
        return found

    assert reach(JobState.SCHEDULED) == set(JobState)
    for state in set(JobState) - FINAL:
        assert reach(state) & FINAL


def test_what_is_not_in_the_table_is_refused_with_a_message():
    """Each pair that the table lacks raises, naming state and action."""
    for state in JobState:
        for action in set(Action) - allowed(state):
            with pytest.raises(IllegalTransition, match=f"'{JOB_NAMES[state]}'.*{action}"):
                next_state(state, action)
    assert all(next_state(*pair) is target for pair, target in TRANSITIONS.items())


def test_every_unfinished_job_can_be_canceled():
    """A person can cancel every job that has not ended."""
    for state in set(JobState) - FINAL:
        assert Action.CANCEL in allowed(state)
