"""Lists of jobs leave the drafts in the database."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.study import Instance
from service.jobs import DraftStatus, JobState
from service.records import DraftFilter, Job
from service.store import Store
from service.store.operator.repeats import Selection

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
def drafted(store):
    """A job with a draft that one destination has not yet."""
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
def test_a_list_loads_no_draft(store, drafted, name):
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
        drafted.id,
        True,
        DraftStatus.STANDS,
    )
    assert not hasattr(found, "draft")
    selected = [each.partition(" FROM ")[0] for each in statements]
    assert any("jobs.draft" in each for each in selected)
    assert not any(map(_LOADS_A_DRAFT.search, selected))


def test_the_times_of_drafts_are_read_without_the_rest(store, drafted):
    """The stages of the latest drafts, for the metrics."""
    assert store.draft_timings(10) == [{"model": 812.0, "pixels": 7}]
    assert store.job(drafted.id).draft.timings_ms == {"model": 812.0, "pixels": 7}
