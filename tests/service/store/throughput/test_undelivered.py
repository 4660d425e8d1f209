"""Failed deliveries of notices, and changes of the service."""

from sqlalchemy import text

from service.audit import AuditAction, AuditEvent
from service.database.engine import make_engine
from service.jobs import JobState
from service.records.models import ModelFacts
from service.store.throughput.undelivered import UndeliveredKind
from service.throughput.changes import ChangeKind
from tests.service.store.plans import plans_of
from tests.service.store.records import claimed, drafted

FACTS = {
    "kind": "transformers",
    "own_name": "Chest",
    "device": "cpu",
    "dtype": "float32",
}


def execute(url, statement):
    """Change rows as no function of the store does."""
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def refuse(store, job, error):
    """Fail the next delivery of a job for good."""
    found = store.claim_delivery(job.id, "sender", 60, {})
    store.fail_delivery(found[0].id, found[0].fence, error)


def test_failed_notices_and_reports_are_grouped_by_destination(store, clock, database_url):
    """The count, the first time, and the error of the latest; results of failed jobs are left out."""
    begun = clock()
    for number in range(3):
        job = claimed(store, study=f"1.2.{number + 1}")
        store.not_analysed(job.id, job.fence, "LATERAL", "A lateral.", destinations=("PACS",))
        refuse(store, job, f"PACS refused it, {number}.")
        clock.move(60)
    failed = drafted(store, claimed(store, study="1.2.9"))
    refuse(store, failed, "PACS refused it.")
    assert store.job(failed.id).state is JobState.FAILED
    (found,) = store.undelivered_groups()
    assert (found.kind, found.destination) == (UndeliveredKind.NOTICE, "PACS")
    assert (found.count, found.first_at, found.job_id) == (3, begun, job.id)
    assert found.error == "PACS refused it, 2."
    execute(database_url, "UPDATE deliveries SET notice = 'verified-1' WHERE state = 'FAILED'")
    assert [each.kind for each in store.undelivered_groups()] == [UndeliveredKind.REPORT]


def test_neither_jobs_nor_deliveries_are_read_as_a_whole(store):
    """The failed deliveries and the jobs without a draft are ranges of indexes."""
    (plan,) = plans_of(store, store.undelivered_groups)
    assert "ix_deliveries_failed" in plan
    only = "COVERING INDEX" if store._is_sqlite else "Index Only Scan using"
    assert f"{only} ix_jobs_state_" in plan
    assert "SCAN deliveries" not in plan
    assert "SCAN jobs" not in plan
    assert "Seq Scan on deliveries" not in plan
    assert "Seq Scan on jobs" not in plan


def test_versions_and_models_are_recorded_when_they_change(store, clock):
    """Once for each change, with the audited changes of settings and drafting in order."""
    begun = clock()
    assert store.note_version("0.1.0")
    assert not store.note_version("0.1.0")
    clock.move(60)
    for weights in ("a" * 64, "a" * 64, "b" * 64):
        facts = ModelFacts(**FACTS, version="2", weights_sha256=weights)
        store.note_loaded("reading", "host", "chest", facts)
    clock.move(60)
    event = AuditEvent(action=AuditAction.STOPPED_DRAFTING, actor="ann", detail="maintenance")
    store.stop_drafting("maintenance", event)
    clock.move(60)
    assert store.note_version("0.2.0")
    found = store.service_changes(begun)
    assert [each.detail for each in found] == [
        "Wetread 0.1.0",
        "chest 2 aaaaaaaa",
        "chest 2 bbbbbbbb",
        "ann stopped drafting: maintenance",
        "Wetread 0.2.0",
    ]
    assert [each.kind for each in found] == [
        ChangeKind.VERSION,
        ChangeKind.MODEL,
        ChangeKind.MODEL,
        ChangeKind.DRAFTING,
        ChangeKind.VERSION,
    ]
    assert store.service_changes(clock()) == found[-1:]
