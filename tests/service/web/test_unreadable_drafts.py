"""A stored draft that this version cannot read hides no other job and ends no task."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from dicom.content.draft_json import decoded
from dicom.content.report import DraftReport
from dicom.errors import UnreadableDraft
from service.jobs import DraftStatus, JobState
from service.records import DraftFilter


@pytest.fixture
def spoil(site):
    """A function that replaces the text of a job's stored draft by the result of `change`."""
    path = site.here.settings.database_url.removeprefix("sqlite:///")

    def spoil(job_id, change):
        with closing(sqlite3.connect(path)) as database, database:
            (text,) = database.execute("SELECT draft FROM jobs WHERE id = ?", [job_id]).fetchone()
            database.execute("UPDATE jobs SET draft = ? WHERE id = ?", [change(text), job_id])

    return spoil


def edited(change):
    """Return a function that applies `change` to the decoded text."""

    def apply(text: str) -> str:
        data = json.loads(text)
        change(data)
        return json.dumps(data)

    return apply


UNREADABLE = {
    "no JSON": lambda text: text[:40],
    "no object": lambda _: "[1, 2]",
    "no text": lambda _: "",
    "missing": edited(lambda data: data.pop("model")),
    "unknown value": edited(lambda data: data["findings"][0].update(observation="new sign")),
    "text for a list": edited(lambda data: data.update(findings_text="Clear lungs.")),
    "number for a text": edited(lambda data: data["model"].update(name=7)),
    "text for a number": edited(lambda data: data["source"].update(rows="many")),
    "list for an object": edited(lambda data: data.update(source=[])),
    "null": edited(lambda data: data.update(source=None)),
    "no time": edited(lambda data: data.update(produced_at="yesterday")),
    "time without zone": edited(lambda data: data.update(produced_at="2026-01-01T00:00:00")),
    "no score": edited(lambda data: data["findings"][0].update(score=True)),
    "no timings": edited(lambda data: data.update(timings_ms=[1])),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_draft_hides_no_other_job(site, seeder, spoil, kind):
    """It is listed with a message in place of its draft, and stays a draft."""
    store = site.store
    spoiled, sound = seeder.completed(1), seeder.completed(2)
    spoil(spoiled.id, UNREADABLE[kind])
    assert {job.id: job.draft_status for job in store.jobs()} == {
        each.id: DraftStatus.STANDS for each in (spoiled, sound)
    }
    assert store.job(sound.id) == sound
    found = store.job(spoiled.id)
    assert found.draft is None
    assert "cannot be read by this version of Wetread: draft" in found.draft_fault
    assert found.draft_status is DraftStatus.STANDS
    wanted = DraftFilter(models=(sound.draft.model.name,))
    assert sound.id in [job.id for job in store.jobs_with_drafts(wanted)]
    assert sum(model.drafts for model in store.drafted_models()) == 2
    # The first page of each list, and the page and JSON of the job itself.
    answer = site.get("/api/jobs")
    assert (answer.status_code, len(answer.json()["jobs"])) == (200, 2)
    assert site.get(f"/api/jobs/{spoiled.id}").json()["draft_fault"] == found.draft_fault
    assert f"job-{sound.id}" in site.get("/").text
    page = site.get(f"/studies/{spoiled.study_instance_uid}")
    assert (page.status_code, "cannot be read by this version" in page.text) == (200, True)


def test_fields_of_a_newer_version_are_left_out(site, seeder, spoil):
    """Unknown keys at any level change no known value."""
    job = seeder.completed(1)

    def add(data):
        for part in (data, data["model"], data["source"], data["findings"][0]):
            part["from_a_newer_version"] = {"any": [1]}

    spoil(job.id, edited(add))
    assert site.store.job(job.id).draft == job.draft


def test_fields_that_an_older_version_lacks_take_their_defaults(seeder):
    """A draft from before a field was added is read."""
    draft = seeder.completed(1).draft
    data = draft.to_json()
    for name in ("predecessor", "timings_ms", "notes"):
        del data[name]
    assert DraftReport.from_json(data).notes == ()


def test_the_error_names_the_field_and_repeats_no_value():
    """The content of a draft must be in no log."""

    @dataclass
    class Record:
        at: datetime

    with pytest.raises(UnreadableDraft, match=r"^draft\.at is not a time$"):
        decoded(Record, {"at": "secret"})


def test_a_job_with_an_unreadable_draft_can_be_sent_again(site, seeder, spoil):
    """The results made of the draft are not affected."""
    job = seeder.completed(1)
    spoil(job.id, UNREADABLE["unknown value"])
    sent = site.store.resend(job.id, "Ann")
    assert sent.drafted_image == job.draft.source.sop_instance_uid
    assert sent.drafted_by == f"demo {job.model_version}"


def test_a_job_in_a_state_of_another_version_hides_no_other_job(site, seeder):
    """It is left out of lists, and that is logged; the others are listed and counted."""
    unknown, sound = seeder.completed(1), seeder.completed(2)
    path = site.here.settings.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE jobs SET state = 'NEW_STATE' WHERE id = ?", [unknown.id])
    with capture_logs() as logs:
        assert [job["id"] for job in site.get("/api/jobs").json()["jobs"]] == [sound.id]
    assert ("job_unreadable", unknown.id) in [
        (entry["event"], entry.get("job_id")) for entry in logs
    ]
    assert site.get("/").status_code == 200
    assert site.store.counts()[JobState.COMPLETED] == 1
