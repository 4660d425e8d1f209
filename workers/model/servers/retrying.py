"""How often a request to a model server is repeated, and how long to wait between two tries."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from workers.model.errors import ServerUnavailable

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a request is repeated.

    Attributes:
        tries: Tries in all.
        first_seconds: Wait before the second try; it doubles each time.
        most_seconds: Longest wait that we choose.
        longest_retry_after: A server that asks for a longer wait than this is not waited for.
    """

    tries: int = 6
    first_seconds: float = 1.0
    most_seconds: float = 60.0
    longest_retry_after: float = 300.0

    def wait(self, tried: int, error: ServerUnavailable) -> float | None:
        """Return the seconds to wait after `tried` tries, or None to give up."""
        if tried >= self.tries:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest_retry_after else None
        longest = min(self.most_seconds, self.first_seconds * float(2 ** (tried - 1)))
        return longest * random.uniform(0.5, 1.0)


async def with_retries(request: Callable[[], Awaitable[Result]], policy: RetryPolicy) -> Result:
    """Return the result of a request, which is repeated as long as that may help.

    Raises:
        ServerUnavailable: The last try failed too, or the server asked for too long a wait.
        ServerRefused: The request cannot succeed.
    """
    tried = 0
    while True:
        try:
            return await request()
        except ServerUnavailable as error:
            tried += 1
            seconds = policy.wait(tried, error)
            if seconds is None:
                raise ServerUnavailable(
                    f"{error} (tried {tried} {'time' if tried == 1 else 'times'})",
                    detail=error.detail,
                    retry_after=error.retry_after,
                    outage=error.outage,
                ) from error
        await asyncio.sleep(seconds)


def retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110 10.2.3); None for another form."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if when.tzinfo is None:
        return None
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
