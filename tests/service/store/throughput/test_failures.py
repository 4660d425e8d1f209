"""Failures that are not repaired, and changes of the service."""

from service.audit import AuditAction, AuditEvent
from service.records.models import ModelFacts
from service.store.throughput.failures import FailedKind
from service.throughput.changes import ChangeKind
from tests.service.store.records import claimed, drafted

FACTS = {
    "kind": "transformers",
    "own_name": "Chest",
    "device": "cpu",
    "dtype": "float32",
}


def refuse(store, job, error):
    """Fail the next delivery of a job for good."""
    found = store.claim_delivery(job.id, "sender", 60, {})
    store.fail_delivery(found[0].id, found[0].fence, error)


def test_failures_are_grouped_by_cause_and_destination(store, clock):
    """The count, the first and last time, and the error of the latest; a repaired one is left out."""
    begun = clock()
    for number in range(3):
        job = drafted(store, claimed(store, study=f"1.2.{number + 1}"))
        refuse(store, job, f"PACS refused it, {number}.")
        clock.move(60)
    failed = claimed(store, study="1.2.9")
    store.fail(failed.id, failed.fence, "MODEL_ERROR", "The model failed.")
    repaired = claimed(store, study="1.2.10")
    store.fail(repaired.id, repaired.fence, "MODEL_ERROR", "The model failed.")
    store.retry(repaired.id, "ann")
    first, second = store.open_failures()
    assert (first.kind, first.cause, first.destination) == (FailedKind.JOB, "NOT_DELIVERED", "PACS")
    assert (first.count, first.job_id, first.error) == (3, job.id, "PACS refused it, 2.")
    assert (first.first_at, (first.last_at - begun).total_seconds()) == (begun, 120)
    assert (second.cause, second.destination, second.count) == ("MODEL_ERROR", "", 1)
    assert second.error == "The model failed."


def test_a_notice_that_is_not_delivered_is_a_group_of_its_own(store):
    """The job ended as not analyzed; what failed is its notice."""
    job = claimed(store)
    store.not_analysed(job.id, job.fence, "LATERAL", "A lateral.", destinations=("PACS",))
    refuse(store, job, "PACS refused it.")
    (found,) = store.open_failures()
    assert (found.kind, found.destination, found.count) == (FailedKind.NOTICE, "PACS", 1)


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
