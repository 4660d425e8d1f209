"""The reference period in numbers, and as JSON."""

import json

from service.drift.summary import ReferenceSummary, StreamReference

SUMMARY = ReferenceSummary(
    days=30,
    readings=900,
    streams={
        "words": StreamReference(n=600, means=(40.5, 41.0), edges=(1.0, 2.0), bins=(1, 2, 3)),
        "view": StreamReference(n=900, counts={"PA": 600, "AP": 300}, dispersion=1.5),
    },
)


def test_it_comes_back_from_json():
    """As the database stores it."""
    assert ReferenceSummary.from_json(json.loads(json.dumps(SUMMARY.to_json()))) == SUMMARY


def test_rows_per_quarter_if_the_volume_stays():
    """600 in 30 days are 1826 in 91.3 days."""
    assert SUMMARY.per_quarter("words") == 1826
