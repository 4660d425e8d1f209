"""What `wetread check` reports about Redis: its address, and whether it keeps messages."""

import pytest
import redis

from service.checks.broker import broker
from service.checks.check import Grade
from service.errors import BrokerUnavailable
from service.settings.config import load_settings


@pytest.fixture
def limited(own_redis):
    """A function: the settings of a site whose Redis has this `maxmemory` and policy."""

    def make(limit, policy):
        with redis.Redis.from_url(own_redis.url) as client:
            client.config_set("maxmemory", limit)
            client.config_set("maxmemory-policy", policy)
        return load_settings(broker={"url": own_redis.url})

    return make


@pytest.mark.parametrize(
    ("limit", "policy", "grade", "expected"),
    [
        (0, "noeviction", Grade.OK, "no limit"),
        (0, "allkeys-lru", Grade.OK, "no limit"),
        (2**30, "noeviction", Grade.OK, "of 1024 MiB"),
        (2**30, "allkeys-lru", Grade.WARNING, "maxmemory-policy noeviction"),
        (2**10, "noeviction", Grade.FAULT, "accepts no more messages"),
    ],
)
def test_the_limits_of_redis_are_judged(limited, limit, policy, grade, expected):
    """No limit is fine; a policy that removes messages warns; a full Redis is a fault."""
    outcome = broker(limited(limit, policy))
    assert outcome.grade is grade
    assert outcome.detail.startswith("Redis ")
    assert expected in outcome.detail


def test_a_redis_that_is_away_is_a_fault():
    """The check raises the error that `results` reports as a fault."""
    with pytest.raises(BrokerUnavailable):
        broker(load_settings(broker={"url": "redis://127.0.0.1:1/0"}))


def test_a_missing_tls_file_is_named(tmp_path):
    """The setting and the file, instead of a message that Redis is unavailable."""
    missing = tmp_path / "nowhere.pem"
    broker_table = {"url": "rediss://127.0.0.1:1", "tls_ca": str(missing)}
    outcome = broker(load_settings(broker=broker_table))
    assert outcome.grade is Grade.FAULT
    assert outcome.detail.startswith(f"broker.tls_ca: {missing} does not exist")
