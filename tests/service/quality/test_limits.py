"""Limits that were set beforehand: their date is compared in the site's time zone."""

from datetime import date

import pytest

from service.quality.limits import Limits


@pytest.mark.parametrize(
    ("zone", "started", "is_late"),
    [
        ("Asia/Seoul", "2026-09-30T23:30:00+00:00", False),
        ("Asia/Seoul", "2026-09-30T14:30:00+00:00", True),
        ("America/New_York", "2026-10-01T02:00:00+00:00", True),
        ("America/New_York", "2026-10-01T14:00:00+00:00", False),
        ("UTC", "", False),
        ("UTC", "yesterday", False),
    ],
)
def test_limits_are_late_by_the_day_of_the_site(in_zone, zone, started, is_late):
    """Set on 1 October; the evaluation's beginning is stored in UTC."""
    in_zone(zone)
    limits = Limits(limits=(), set_on=date(2026, 10, 1), set_by="", sha256="")
    assert limits.is_late(started) is is_late
