"""A request with an Idempotency-Key acts once, also after kill -9 and when it is taken over."""

import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from service.audit import AuditAction, AuditEvent
from service.database.request_tables import IdempotencyKeyRow
from service.idempotency import (
    CLAIM_SECONDS,
    KEPT,
    KeyConflict,
    RequestClaim,
    RequestKey,
    StoredResponse,
)
from service.store import Store

KEY = RequestKey(principal="person p1", key="key-0001", digest="d" * 64)
EVENT = AuditEvent(action=AuditAction.SENT_AGAIN, actor="kim (web page)")
ANSWER = StoredResponse(status=200, body='{"id": "1"}')


@pytest.fixture
def job(store, reviewing):
    """A drafted job."""
    return reviewing.drafted(store)


def send(store, job, claim):
    """Send the results of a job again under a claim."""
    store.resend(job.id, "kim", audit=replace(EVENT, claim=claim))


def times_sent(store, job) -> int:
    """Return how often the results were sent again."""
    return [each.action for each in store.events(job.id)].count("resend")


def test_the_response_of_the_first_request_is_repeated(store, clock, job):
    """For 24 hours; of another person, or with another key, it is another request."""
    claim = store.claim_request(KEY)
    send(store, job, claim)
    store.finish_request(claim, ANSWER)
    assert store.claim_request(KEY) == ANSWER
    for other in (replace(KEY, principal="person p2"), replace(KEY, key="key-0002")):
        assert isinstance(store.claim_request(other), RequestClaim)
    clock.move(KEPT.total_seconds() + 1)
    assert isinstance(store.claim_request(KEY), RequestClaim)


def test_a_response_is_removed_after_a_day_without_a_further_request(store, clock):
    """It may hold what a page shows of a study."""
    claim = store.claim_request(KEY)
    store.finish_request(claim, ANSWER)
    store.forget_requests()
    assert isinstance(store.claim_request(KEY), StoredResponse)
    clock.move(KEPT.total_seconds() + 1)
    store.forget_requests()
    with store._reading() as session:
        assert session.scalar(select(func.count()).select_from(IdempotencyKeyRow)) == 0


def test_a_key_belongs_to_one_request(store):
    """Other content is refused, whether the first request has ended or not."""
    claim = store.claim_request(KEY)
    other = replace(KEY, digest="e" * 64)
    with pytest.raises(KeyConflict, match="another request") as refused:
        store.claim_request(other)
    assert refused.value.retry_after is None
    store.finish_request(claim, ANSWER)
    with pytest.raises(KeyConflict, match="another request"):
        store.claim_request(other)


def test_a_repetition_waits_for_the_first_request(store, clock):
    """And acts if that one was killed before it acted."""
    first = store.claim_request(KEY)
    with pytest.raises(KeyConflict, match="being carried out") as refused:
        store.claim_request(KEY)
    assert refused.value.retry_after == 1
    clock.move(CLAIM_SECONDS + 1)
    second = store.claim_request(KEY)
    assert (first.fence, second.fence) == (1, 2)


def test_a_request_that_was_taken_over_cannot_act(store, clock, job):
    """Its change is rolled back; that of the repetition stands."""
    first = store.claim_request(KEY)
    clock.move(CLAIM_SECONDS + 1)
    second = store.claim_request(KEY)
    with pytest.raises(KeyConflict, match="in its place"):
        send(store, job, first)
    assert times_sent(store, job) == 0
    send(store, job, second)
    store.finish_request(first, StoredResponse(status=200, body="{}"))
    store.finish_request(second, ANSWER)
    assert (times_sent(store, job), store.claim_request(KEY)) == (1, ANSWER)


def test_a_lost_response_is_no_second_action(store, clock, job, database_url):
    """A process killed between the change and the response leaves that in the database."""
    send(store, job, store.claim_request(KEY))
    store.close()
    clock.move(CLAIM_SECONDS + 1)
    restarted = Store(database_url, clock=clock)
    with pytest.raises(KeyConflict, match="response was not stored"):
        restarted.claim_request(KEY)
    restarted.close()


def test_a_refused_request_frees_its_key_unless_it_has_acted(store, job):
    """So that it can be sent again once the reason for the refusal has ended."""
    store.release_request(store.claim_request(KEY))
    claim = store.claim_request(KEY)
    assert isinstance(claim, RequestClaim)
    send(store, job, claim)
    store.release_request(claim)
    with pytest.raises(KeyConflict, match="being carried out"):
        store.claim_request(KEY)


_ONE_REQUEST = """
import os, signal, sys
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from service.audit import AuditAction, AuditEvent
from service.idempotency import RequestKey, StoredResponse
from service.store import Store
url, job, point = sys.argv[1:]
def killed():
    os.kill(os.getpid(), signal.SIGKILL)
store = Store(url)
claim = store.claim_request(RequestKey(principal="person p1", key="key-0001", digest="d" * 64))
if point == "acting":  # within the transaction of the change, before its commit
    store._append_audit = lambda *_: killed()
event = AuditEvent(action=AuditAction.SENT_AGAIN, actor="kim (web page)", claim=claim)
store.resend(job, "kim", audit=event)
killed()  # after the commit, before the response is stored
"""


@pytest.mark.parametrize("point", ["acting", "acted"])
def test_kill_9_at_any_point_never_acts_twice(store, database_url, job, point):
    """A process is killed; the repetition in another one acts if, and only if, the first has not."""
    process = subprocess.run([sys.executable, "-c", _ONE_REQUEST, database_url, job.id, point])
    assert process.returncode == -signal.SIGKILL
    later = datetime.now(UTC) + timedelta(seconds=CLAIM_SECONDS + 1)
    restarted = Store(database_url, clock=lambda: later)
    if point == "acting":
        assert times_sent(store, job) == 0
        send(restarted, job, restarted.claim_request(KEY))
    else:
        with pytest.raises(KeyConflict, match="response was not stored"):
            restarted.claim_request(KEY)
    assert times_sent(store, job) == 1
    restarted.close()
