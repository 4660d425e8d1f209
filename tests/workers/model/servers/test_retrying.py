"""Waits between two tries."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from workers.model.errors import ServerUnavailable
from workers.model.servers.retrying import RetryPolicy, retry_after


def test_waits_double_up_to_the_longest():
    """1, 2, 4 … 60 s, each at least half; none after the last try."""
    policy, error = RetryPolicy(tries=9), ServerUnavailable("busy")
    for tried in range(1, 9):
        longest = min(60, 2 ** (tried - 1))
        assert longest / 2 <= policy.wait(tried, error) <= longest
    assert policy.wait(9, error) is None


def test_the_servers_own_wait_is_followed_up_to_a_limit():
    """Retry-After counts instead of our wait."""
    policy = RetryPolicy()
    assert policy.wait(1, ServerUnavailable("busy", retry_after=17)) == 17
    assert policy.wait(1, ServerUnavailable("busy", retry_after=301)) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3), (" 120 ", 120), ("", None), ("soon", None), ("-1", None), ("1.5", None),
     ("9" * 400, 999999999), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)  # fmt: skip
def test_retry_after_in_seconds(value, seconds):
    """RFC 9110 10.2.3; other text is ignored."""
    assert retry_after(value) == seconds


def test_retry_after_as_a_date():
    """The seconds until then."""
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    assert 35 <= retry_after(when) <= 40
