"""Why Redis does not answer, and what to do."""

import pytest
import redis

from service.queue.redis_errors import redis_reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            redis.ConnectionError("Error 111 connecting to 10.0.0.9:6379. Connection refused."),
            "nothing listens at 10.0.0.9:6379: start Redis there, or correct broker.url",
        ),
        (
            redis.ConnectionError(
                "Error -2 connecting to nowhere:6379. Name or service not known."
            ),
            "the host name in nowhere:6379 is not known: correct broker.url, or check name resolution",
        ),
        (
            redis.ConnectionError("Error 113 connecting to 10.0.0.9:6379. No route to host."),
            "10.0.0.9:6379 cannot be reached: check the network, or correct broker.url",
        ),
        (
            redis.AuthenticationError("x"),
            "it refuses the user or password: check both in broker.url",
        ),
        (
            Exception("WRONGPASS invalid"),
            "it refuses the user or password: check both in broker.url",
        ),
        (
            redis.ConnectionError("Connection closed by server."),
            "the server ended the connection: correct broker.url if that is not a Redis server",
        ),
    ],
)
def test_each_error_has_its_advice(error, reason):
    """The reason, the address, and the setting."""
    assert redis_reason(error) == reason


def test_a_timeout_and_an_unknown_error():
    """A password in a URL is not repeated."""
    assert "no answer within the time limit" in redis_reason(redis.TimeoutError("x"))
    assert redis_reason(ValueError("redis://user:secret@host broke")) == "host broke"
    assert redis_reason(ValueError()) == "ValueError"
