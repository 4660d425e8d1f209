"""Names of states for people."""

from service.destination_backlog import DestinationState
from service.jobs import DeliveryState, DraftStatus, JobState
from service.monitoring.state_names import STATE_WORDS, state_word


def test_every_state_has_a_name():
    """Of jobs, drafts and destinations; no code is shown."""
    for state in (*JobState, *DestinationState, *(each for each in DraftStatus if each)):
        assert state in STATE_WORDS
        assert state_word(state) != state.value
    assert state_word(DeliveryState.CONFIRMED) == "Confirmed"
    assert state_word("NEW") == "New"
