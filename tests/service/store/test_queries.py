"""Jobs by their id, by page and by count; lists of jobs leave the drafts in the database."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.study import Instance
from service.errors import NotFound
from service.jobs import DraftStatus, JobState
from service.records import DraftFilter, Job
from service.store import Store
from service.store.operator.repeats import Selection
from tests.service.store.records import arrive, claimed, schedule


class TestQueries:
    """The queries of pages and commands."""

    def test_a_job_is_found_by_a_unique_beginning_of_its_id(self, store):
        """Eight characters do; fewer than four, wild cards and unknown ids are NotFound."""
        arrive(store)
        job = schedule(store)
        assert store.job(job.id[:8]).id == job.id
        for wrong in ("%", "abc", "0" * 32, "../../etc"):
            with pytest.raises(NotFound):
                store.job(wrong)

    def test_an_ambiguous_beginning_is_reported_as_such(self, store, monkeypatch):
        """Two jobs that begin alike: the message requests more characters."""
        ids = iter(["abcd" + "0" * 28, "abcd" + "1" * 28])
        monkeypatch.setattr("service.store.scheduling.new_id", lambda: next(ids))
        for study in ("1.1", "1.2"):
            arrive(store, study=study)
            schedule(store, study)
        with pytest.raises(NotFound, match="several"):
            store.job("abcd")

    def test_jobs_are_paged_from_the_newest(self, store, clock):
        """`before` continues exactly where the page ended, also among equal times."""
        for number in range(5):
            arrive(store, study=f"1.{number + 1}")
            schedule(store, f"1.{number + 1}")
            if number % 2:
                clock.move(1)
        listed = store.jobs(limit=10)
        paged = store.jobs(limit=2)
        while page := store.jobs(limit=2, before=paged[-1].id):
            paged += page
        assert paged == listed
        assert len(listed) == 5
        assert listed == sorted(listed, key=lambda job: job.created_at, reverse=True)
        assert [job.study_instance_uid for job in store.jobs(study="1.3")] == ["1.3"]

    def test_counts_have_every_state(self, store):
        """States without jobs count 0; the oldest waiting job is known."""
        assert set(store.counts().values()) == {0}
        assert store.oldest_waiting() is None
        first = claimed(store, 1, study="1.1")
        claimed(store, 1, study="1.2")
        assert store.counts()[JobState.IN_PROGRESS] == 2
        assert store.oldest_waiting().id == first.id

    def test_the_version_changes_with_every_change(self, store, clock):
        """Images, jobs, events and incidents each change the version; reading does not."""
        seen = [store.version()]

        def differs():
            seen.append(store.version())
            return seen[-1] not in seen[:-1]

        arrive(store)
        assert differs()
        job = schedule(store)
        assert differs()
        clock.move(1)
        store.claim_reading(job.id, "reader", 60)
        assert differs()
        store.record_incident(actor="receiver", kind="refused", subject="OTHER", detail="Unknown.")
        assert differs()
        assert not differs()


def test_jobs_of_another_model_do_not_hide_a_place_in_line(store):
    """The place of a job is counted within its model, and so is the limit."""
    for number, model in enumerate(("other", "other", "other", "tiny", "tiny")):
        study = f"1.9.{number}"
        arrive(store, study=study)
        store.schedule(study, model=model, version="1", actor="t", reason="")
    assert sorted(store.ahead(2).values()) == [0, 0, 1, 1]


_LOADS_A_DRAFT = re.compile(r"jobs\.draft(?! IS NOT NULL)")


_LISTS: dict[str, Callable[[Store], list[Job]]] = {
    "jobs": lambda store: store.jobs(),
    "matching": lambda store: store.matching(Selection(model="tiny"), limit=10),
    "jobs_with_drafts": lambda store: store.jobs_with_drafts(DraftFilter()),
    "due_deliveries": lambda store: [
        job for _, job, _ in store.due_deliveries(_later(store), _later(store))
    ],
    "oldest": lambda store: [job for job in [store.oldest_waiting((JobState.DRAFTED,))] if job],
}


def _later(store):
    return store.now() + timedelta(hours=1)


@pytest.fixture
def drafted_job(store):
    """A job with a draft that one destination lacks."""
    image = Instance(
        sop_instance_uid="1.2.3.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid="1.2.3",
        study_instance_uid="1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path("/spool/1.dcm"),
        digest="a" * 56,
        size=1000,
    )
    store.add_instance(image, calling_ae="CR1", association_id="A", eligible=True)
    waiting = store.schedule("1.2", model="tiny", version="1", actor="intake", reason="")
    job = store.claim_reading(waiting.id, "reader", 60)
    draft = DraftReport(
        study_instance_uid="1.2",
        source=SourceImage(
            sop_instance_uid="1.2.3.1",
            sop_class_uid=image.sop_class_uid,
            series_instance_uid="1.2.3",
            rows=10,
            columns=20,
        ),
        revision=1,
        produced_at=job.produced_at,
        findings_text=("The lungs are clear.",),
        model=ModelIdentity(name="Tiny", version="1", weights_sha256="0" * 64),
        timings_ms={"model": 812.0, "pixels": 7},
    )
    return store.draft(job.id, job.fence, draft, (), ("PACS",))


@pytest.mark.parametrize("name", _LISTS)
def test_a_list_loads_no_draft(store, drafted_job, name):
    """It is known that there is a draft; its JSON stays in the database."""
    statements = []

    def note(*arguments):
        statements.append(arguments[2])

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        (found,) = _LISTS[name](store)
    finally:
        event.remove(store._engine, "before_cursor_execute", note)
    assert (found.id, found.has_draft, found.draft_status) == (
        drafted_job.id,
        True,
        DraftStatus.STANDS,
    )
    assert not hasattr(found, "draft")
    selected = [each.partition(" FROM ")[0] for each in statements]
    assert any("jobs.draft" in each for each in selected)
    assert not any(map(_LOADS_A_DRAFT.search, selected))


def test_the_times_of_drafts_are_read_without_the_rest(store, drafted_job):
    """The stages of the latest drafts, for the metrics."""
    assert store.draft_timings(10) == [{"model": 812.0, "pixels": 7}]
    assert store.job(drafted_job.id).draft.timings_ms == {"model": 812.0, "pixels": 7}
