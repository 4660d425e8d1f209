"""Checks of the broker."""

from service.checks.check import Outcome
from service.config import Settings
from service.queue import ping


def broker(settings: Settings) -> Outcome:
    """Return which Redis answers.

    Raises:
        BrokerUnavailable: It does not answer.
        ConfigurationError: None is configured.
    """
    return Outcome(ping(settings))
