"""The outermost handler of unexpected errors: they are logged, and the peer gets a failure."""

import logging
import traceback
from collections.abc import Callable
from typing import Final, TypeVar

Result = TypeVar("Result")

LOGGER: Final = logging.getLogger(__name__)


def error_boundary(
    work: Callable[[], Result], otherwise: Result, caller: Callable[[], str]
) -> Result:
    """Return the result of `work`; if it raises, log the error and return `otherwise`.

    Args:
        work: Called for a peer, in a thread of its association.
        otherwise: The result after an unexpected error.
        caller: Returns the peer's AE title, for the log.
    """
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the edge: a thread of an association ends here
        name = type(error).__name__
        LOGGER.error("unexpected %s (association with %s)\n%s", name, caller(), places(error))
        return otherwise


def places(error: BaseException) -> str:
    """Return the traceback of an error without its message, which may quote a patient's value."""
    return "".join(traceback.format_tb(error.__traceback__))
