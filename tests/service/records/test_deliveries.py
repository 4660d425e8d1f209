"""A delivery of results, of a notice, or of a verified report."""

from datetime import UTC, datetime

import pytest

from service.jobs import VERIFIED, DeliveryState
from service.records import Delivery


@pytest.mark.parametrize(
    ("notice", "decision"), [("", ""), ("ab" * 28, ""), (f"{VERIFIED}d1", "d1")]
)
def test_a_verified_report_names_its_decision(notice, decision):
    """A notice of doubt has the digest of a copy instead."""
    delivery = Delivery(
        id=1,
        job_id="j",
        destination="A",
        state=DeliveryState.PENDING,
        attempts=0,
        not_before=None,
        first_error="",
        last_error="",
        confirmed_at=None,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        notice=notice,
    )
    assert delivery.decision_id == decision
