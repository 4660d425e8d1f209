"""The names of states for people: pages, command line, notices and messages all use this table.

JSON (the API, `--json`), metrics and filters use the stored values, which are stable.
"""

from collections.abc import Mapping
from typing import Final

from service.destination_backlog import DestinationState
from service.jobs import JOB_NAMES, DeliveryState, DraftStatus, ReasonCode
from service.monitoring.draft_warnings import Withdrawal

STATE_WORDS: Final[Mapping[str, str]] = {
    **JOB_NAMES,
    DraftStatus.WITHDRAWN: "Withdrawn",
    DraftStatus.IN_DOUBT: "In doubt",
    DraftStatus.SUPERSEDED: "Superseded",
    DraftStatus.STANDS: "Stands",
    ReasonCode.WITHHELD: "Withheld",
    Withdrawal.PENDING: "Not yet withdrawn",
    Withdrawal.FAILED: "Withdrawal failed",
    Withdrawal.NEVER_SENT: "Not sent",
    DestinationState.ANSWERING: "Answers",
    DestinationState.SILENT: "Silent",
    DestinationState.REFUSING: "Refuses",
    DestinationState.CONFIGURATION: "Configuration fault",
    DestinationState.UNUSED: "Not used yet",
    DestinationState.PAUSED: "Paused",
    DeliveryState.PENDING: "Waiting",
    DeliveryState.SENDING: "Sending",
    DeliveryState.CONFIRMED: "Confirmed",
}


def state_word(state: str) -> str:
    """Return the name of a state of a job, draft, delivery, withdrawal or destination."""
    return STATE_WORDS.get(state, state.capitalize())
