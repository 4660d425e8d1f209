"""Checks the bearer tokens."""

from contextlib import closing

from service.checks.check import Grade, Outcome
from service.checks.first_start import unless_first_start
from service.monitoring.token_expiry import sentence, tokens_at_risk
from service.settings.config import Settings
from service.store import Store
from service.tokens import TokenState


def tokens(settings: Settings) -> Outcome:
    """Check for tokens that expire soon (warning) or have expired without being revoked (fault).

    A note before the first start.

    Raises:
        StoreError: The database cannot be reached, or is at another revision.
    """
    reason = "none: the database does not exist yet"
    return unless_first_start(settings, lambda: _in_force(settings), reason)


def _in_force(settings: Settings) -> Outcome:
    with closing(Store.open(settings)) as store:
        in_force = [each for each in store.tokens() if each.revoked_at is None]
        at_risk = list(tokens_at_risk(store))
    text = " ".join(f"{token.name}: {sentence(token, state)}" for token, state in at_risk)
    if any(state is TokenState.EXPIRED for _, state in at_risk):
        return Outcome(text, Grade.FAULT)
    if at_risk:
        return Outcome(text, Grade.WARNING)
    return Outcome(f"{len(in_force)} in force, none expires soon")
