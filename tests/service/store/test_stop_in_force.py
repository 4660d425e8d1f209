"""The check for a stop of drafting, within a transaction."""

import pytest

from service.audit import AuditAction, AuditEvent
from service.errors import DraftingStopped
from service.store.stop_in_force import check_drafting, stop_in_force


def test_a_stop_holds_until_drafting_is_started(store):
    """The error names the person and the reason."""
    with store._reading() as session:
        assert stop_in_force(session) is None
        check_drafting(session)
    store.stop_drafting("wrong side", AuditEvent(action=AuditAction.STOPPED_DRAFTING, actor="kim"))
    with store._reading() as session:
        assert stop_in_force(session).reason == "wrong side"
        with pytest.raises(DraftingStopped, match="stopped by kim: wrong side"):
            check_drafting(session)
    store.start_drafting(AuditEvent(action=AuditAction.STARTED_DRAFTING, actor="lee"))
    with store._reading() as session:
        check_drafting(session)
