"""Lines of a job's history, and drafts by model, version and time."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from service.errors import NotFound
from service.jobs import Event
from service.records import DraftFilter
from tests.service.store.records import actions, claimed, draft_of, drafted, objects_of


def test_a_note_changes_no_state(store):
    """A line of history; an unknown job is an error."""
    job = claimed(store)
    store.note(job.id, Event.RECALL_DONE, "Ann", "PACS: removed.")
    assert actions(store, job)[-1] == "recall_destination"
    assert store.job(job.id).state is job.state
    with pytest.raises(NotFound):
        store.note("0" * 32, Event.RECALL_DONE, "Ann", "")


def test_drafts_are_found_by_model_version_study_and_time(store, clock):
    """By the name in the settings or in the draft."""
    first = drafted(store, claimed(store))
    clock.move(60)
    held = claimed(store, study="1.9")
    draft = replace(draft_of(held), model=replace(draft_of(held).model, name="Own Name"))
    second = store.draft(held.id, held.fence, draft, objects_of(held), ("PACS",))

    def found(**criteria):
        return [each.id for each in store.jobs_with_drafts(DraftFilter(**criteria))]

    assert found() == [first.id, second.id]
    assert found(models=frozenset({"Own Name"})) == [second.id]
    assert found(models=frozenset({"tiny"})) == [first.id, second.id]
    assert found(version="2") == []
    assert found(study="1.9") == [second.id]
    assert found(since=second.produced_at) == [second.id]


def test_models_with_drafts_are_counted(store):
    """With the time of the latest."""
    drafted(store, claimed(store))
    job = drafted(store, claimed(store, study="1.9"))
    claimed(store, study="1.8")
    (model,) = store.drafted_models()
    assert (model.name, model.own_name, model.version, model.drafts) == ("tiny", "tiny", "1", 2)
    assert model.last == job.produced_at


def test_timings_of_the_latest_drafts(store, database_url):
    """The newest first; non-numbers are left out, and invalid JSON in SQLite fails nothing."""
    held = claimed(store)
    draft = replace(draft_of(held), timings_ms={"model": 12.5})
    store.draft(held.id, held.fence, draft, objects_of(held), ("PACS",))
    assert store.draft_timings(5) == [{"model": 12.5}]
    if database_url.startswith("sqlite"):
        with store._writing() as session:
            session.execute(text("UPDATE jobs SET draft = '{'"))
        assert store.draft_timings(5) == [{}]


def test_a_draft_with_escapes_that_no_text_holds_fails_no_query(store):
    """Of NUL and of half a surrogate pair; the text of a search has others in their place."""
    held = claimed(store)
    odd = "\0 \ud83d \ude00"
    draft = replace(draft_of(held), findings_text=(f"Kerley{odd} \U0001f600.",), notes=(odd,))
    draft = replace(draft, timings_ms={"model": 2.5})
    job = store.draft(held.id, held.fence, draft, objects_of(held), ("PACS",))
    assert store.job(job.id).draft == draft
    (model,) = store.drafted_models()
    assert (model.own_name, model.drafts) == ("tiny", 1)
    assert store.draft_timings(5) == [{"model": 2.5}]
    named = store.jobs_with_drafts(DraftFilter(models=frozenset({"tiny"})))
    assert [each.id for each in named] == [job.id]
    assert [each.job_id for each in store.search_texts((), ("kerley",), limit=5)] == [job.id]
