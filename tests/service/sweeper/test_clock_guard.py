"""A clock that jumps ahead makes images old at once; they are not removed for that."""

import pytest

from service.settings.config import load_settings
from service.sweeper.clock_guard import ClockGuard, since_boot

HOUR = 3600


class Passing:
    """The time that passes, independent of the clock."""

    def __init__(self):
        self.seconds = 5000.0

    def __call__(self):
        """Return the seconds so far."""
        return self.seconds


@pytest.fixture
def passed():
    """The time since the machine was started."""
    return Passing()


@pytest.fixture
def steadiness_of(store, tmp_path, passed):
    """A function that returns the steadiness of a site that keeps images for so many days."""

    def make(days=30):
        settings = load_settings(data_dir=tmp_path, sweep={"retention_days": days})
        return ClockGuard(store, settings, passed)

    return make


def test_a_clock_is_trusted_an_hour_after_the_start(steadiness_of, clock, passed):
    """By then a machine has synchronized its clock."""
    steadiness = steadiness_of()
    assert not steadiness.check(clock())
    passed.seconds += HOUR - 1
    assert not steadiness.check(clock.move(HOUR - 1))
    passed.seconds += 1
    assert steadiness.check(clock.move(1))


@pytest.mark.parametrize("leap", [2 * HOUR, 31 * 24 * HOUR])
def test_a_clock_that_leapt_is_not_trusted_for_a_day(steadiness_of, store, clock, passed, leap):
    """It is an incident, once; so is a jump between two checks."""
    steadiness = steadiness_of()
    passed.seconds += HOUR
    assert steadiness.check(clock.move(HOUR))
    passed.seconds += 60
    assert not steadiness.check(clock.move(60 + leap))
    (incident,) = store.incidents()
    assert incident.kind == "clock_leapt"
    assert f"ahead by {leap / HOUR:.1f} h" in incident.detail
    passed.seconds += 24 * HOUR - 1
    assert not steadiness.check(clock.move(24 * HOUR - 1))
    passed.seconds += 1
    assert steadiness.check(clock.move(1))
    assert len(store.incidents()) == 1


def test_a_clock_that_is_set_right_or_sleeps_is_no_leap(steadiness_of, store, clock, passed):
    """Neither a minute's correction, nor one back, nor a night in which the machine slept."""
    steadiness = steadiness_of()
    for seconds, ahead in ((HOUR, 60), (60, -5 * HOUR), (12 * HOUR, 0)):
        passed.seconds += seconds
        assert steadiness.check(clock.move(seconds + ahead))
    assert store.incidents() == []


def test_who_keeps_images_for_less_waits_no_longer(steadiness_of, clock, passed):
    """With a retention of a minute they go after a minute."""
    steadiness = steadiness_of(days=60 / 86400)
    passed.seconds += 60
    assert steadiness.check(clock.move(60))


def test_the_time_since_the_start_goes_on():
    """It is the kernel's, in seconds."""
    assert 0 < since_boot() <= since_boot()
