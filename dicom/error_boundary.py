"""Where a bug ends: in a line of the log and an answer that is not Success."""

import logging
import traceback
from collections.abc import Callable
from typing import Final, TypeVar

Result = TypeVar("Result")

LOGGER: Final = logging.getLogger(__name__)


def error_boundary(
    work: Callable[[], Result], otherwise: Result, caller: Callable[[], str]
) -> Result:
    """Return what `work` returns, or `otherwise` where it raises what nobody foresaw, which is logged.

    Args:
        work: Done on behalf of a peer, in a thread of its association.
        otherwise: What the peer hears of a bug.
        caller: Returns the peer's AE title, for the log.
    """
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the edge: a thread of an association ends here
        name = type(error).__name__
        LOGGER.error("unexpected %s (association with %s)\n%s", name, caller(), places(error))
        return otherwise


def places(error: BaseException) -> str:
    """Return where an unforeseen error arose, without its own words: those may quote a value."""
    return "".join(traceback.format_tb(error.__traceback__))
