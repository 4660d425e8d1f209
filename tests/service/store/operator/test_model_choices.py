"""Which model reads new studies, and the models that the workers have loaded."""

from datetime import timedelta

from service.audit import AuditAction, AuditEvent
from service.records.models import ModelFacts
from tests.service.store.plans import plans_of
from tests.service.store.records import STUDY, arrive, claimed, drafted, schedule

CHOOSE = AuditEvent(action=AuditAction.CHOSE_MODEL, actor="kim")


def test_a_study_keeps_its_model_unless_its_draft_was_withdrawn(store):
    """New studies get the chosen one; a model that is not configured is not used."""
    job = drafted(store, claimed(store))
    arrive(store, study="1.9")
    assert store.chosen_models([STUDY, "1.9"], ["tiny", "big"]) == {}
    store.use_model("big", CHOOSE)
    assert store.model_choice().model == "big"
    assert store.chosen_models([STUDY, "1.9"], ["tiny", "big"]) == {STUDY: "tiny", "1.9": "big"}
    assert store.chosen_models([STUDY, "1.9"], ["tiny"]) == {STUDY: "tiny"}
    store.withdraw(job.id, "Ann", "It errs.")
    assert store.chosen_models([STUDY], ["tiny", "big"]) == {STUDY: "big"}


def test_what_a_worker_loaded_last(store, clock):
    """One record for each worker."""
    facts = ModelFacts(
        kind="built-in",
        version="1",
        own_name="Tiny",
        device="cpu",
        dtype="float32",
        weights_sha256="0" * 64,
        cannot=("scores",),
    )
    store.note_loaded("read", "a", "old", facts)
    clock.move(1)
    store.note_loaded("read", "a", "tiny", facts)
    store.note_loaded("read", "b", "tiny", facts)
    first, second = store.loaded_models()
    assert (first.host, first.model, first.loaded_at, first.facts) == ("a", "tiny", clock(), facts)
    assert second.host == "b"


def test_drafts_and_failures_by_model(store, clock):
    """Of the last days; the latest failure of each."""
    drafted(store, claimed(store))
    for number in (1, 2):
        clock.move(60)
        job = claimed(store, study=f"1.{number}")
        store.fail(job.id, job.fence, "PIXEL_ERROR", f"No {number}.")
    assert store.drafts_made(timedelta(days=1)) == {"tiny": 1}
    assert store.last_failures() == {"tiny": (clock(), "No 2.")}
    clock.move(86_400)
    assert store.drafts_made(timedelta(days=1)) == {}
    assert schedule(store) is None


def test_drafts_are_counted_in_an_index(store):
    """PostgreSQL does not read all jobs; those of end-to-end checks are subtracted."""
    counted, of_checks = plans_of(store, lambda: store.drafts_made(timedelta(days=30)))
    assert "ix_jobs_model_name" in counted or "ix_jobs_drafted" in counted
    assert ("ix_jobs_drafted" in counted) is not store._is_sqlite
    assert "Seq Scan on jobs" not in counted
    assert "probes" not in counted
    assert "probes" in of_checks
