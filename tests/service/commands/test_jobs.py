"""`wetread jobs`: the queue on the command line, against a real database."""

import json
import subprocess
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.study import Instance
from service.commands.jobs import jobs
from service.errors import NotFound
from service.jobs import JobState
from service.monitoring.state_names import state_word
from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store of the settings that the command will find."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    make_database(settings.database_url)
    opened = Store.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def wait(store):
    """A function: study -> its job, which waits."""

    def schedule(study):
        image = Instance(
            sop_instance_uid=f"{study}.1.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{study}.1",
            study_instance_uid=study,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=Path("image.dcm"),
            digest="a" * 64,
            size=1000,
        )
        store.add_instance(image, calling_ae="CR_1", association_id=study, eligible=True)
        return store.schedule(study, model="tiny", version="1", actor="intake", reason="Released.")

    return schedule


def run(*arguments, status=0):
    """Return what `wetread jobs ARGUMENTS` prints."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(jobs, arguments, catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.usefixtures("store")
def test_an_empty_queue_reports_it():
    """No table without rows; for programs an empty list."""
    assert run("list") == "no jobs\n"
    assert json.loads(run("list", "--json")) == []


def test_the_list_has_the_newest_first_and_filters(store, wait):
    """By state (in any case), by study, and no more than asked for."""
    first, second = wait("1.2.3"), wait("1.2.4")
    store.cancel(first.id, actor="test")
    assert [job["id"] for job in json.loads(run("list", "--json"))] == [second.id, first.id]
    found = json.loads(run("list", "--state", "scheduled", "--json"))
    assert [job["study_instance_uid"] for job in found] == ["1.2.4"]
    assert [job["id"] for job in json.loads(run("list", "--study", "1.2.3", "--json"))] == [
        first.id
    ]
    assert len(json.loads(run("list", "--limit", "1", "--json"))) == 1
    assert "Canceled" in (table := run("list"))
    assert second.id[:8] in table


@pytest.mark.usefixtures("store")
def test_a_state_that_does_not_exist_is_an_error():
    """The message lists the states that there are."""
    assert "in_progress" in run("list", "--state", "LOST", status=2)


def test_show_takes_the_first_letters_of_an_id(wait):
    """State, source and every event, for people and for programs."""
    job = wait("1.2.3")
    shown = json.loads(run("show", job.id[:6], "--json"))
    assert shown["state"] == JobState.SCHEDULED
    assert shown["calling_ae"] == "CR_1"
    assert shown["draft"] is None
    assert "tiny" in shown["why"]
    assert [event["actor"] for event in shown["events"]] == ["intake"]
    assert "Released." in run("show", job.id)


def test_cancel_and_retry_are_events_with_a_name(store, wait):
    """The job's history keeps the user of the command line and the reason."""
    job = wait("1.2.3")
    assert run("cancel", job.id[:8], "--reason", "sent twice") == f"{job.id[:8]} Canceled\n"
    assert store.job(job.id).reason == "sent twice"
    assert run("retry", job.id) == f"{job.id[:8]} Waiting\n"
    actors = [event.actor for event in store.events(job.id)]
    assert actors[0] == "intake"
    assert all(actor.endswith("(command line)") for actor in actors[1:])
    assert len(actors) == 3


def test_urgent_overtakes(store, wait):
    """The job states it afterwards, in the list, too."""
    job = wait("1.2.3")
    assert "urgent" in run("urgent", job.id)
    assert store.job(job.id).urgent
    assert "Waiting urgent" in run("list")


@pytest.mark.usefixtures("store")
def test_a_job_that_is_not_there_is_reported():
    """An unknown id is an error of ours."""
    with pytest.raises(NotFound, match="there is no job"):
        run("show", "abcd1234")


@pytest.mark.parametrize("action", ["retry", "cancel", "urgent"])
def test_one_refusal_does_not_hold_up_the_others(store, wait, action):
    """Each id gets its line, the refused ones on standard error with the reason, and the status is 1."""
    ended, waiting = wait("1.2.3"), wait("1.2.4")
    if action == "retry":
        store.cancel(waiting.id, actor="test")
    elif action == "cancel":
        store.cancel(ended.id, actor="test")
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "jobs", action, "abcd1234", ended.id, waiting.id],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "abcd1234 refused: there is no job abcd1234\n" in done.stderr
    if action == "urgent":
        assert store.job(ended.id).urgent
        assert store.job(waiting.id).urgent
        return
    word = {"retry": "Waiting", "cancel": "Canceled"}[action]
    refusal = f"a job in the state {word!r} does not allow {action}"
    assert f"{ended.id[:8]} refused: {refusal}\n" in done.stderr
    assert done.stdout == f"{waiting.id[:8]} {word}\n"
    assert state_word(store.job(waiting.id).state) == word


def drafting(store, job):
    """Return the job with a draft that waits for one destination."""
    held = store.claim_reading(job.id, "reader", 60)
    uid = f"{job.study_instance_uid}.1"
    draft = DraftReport(
        study_instance_uid=job.study_instance_uid,
        source=SourceImage(
            sop_instance_uid=f"{uid}.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=uid,
            rows=9,
            columns=9,
        ),
        revision=1,
        produced_at=held.produced_at,
        findings_text=("There is edema.",),
        model=ModelIdentity(name="Tiny", version="1", weights_sha256=""),
    )
    return store.draft(job.id, held.fence, draft, [], ["pacs"])


def drafted(store, job):
    """Return the job with a draft that one destination has."""
    drafting(store, job)
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.confirm_delivery(delivery.id, delivery.fence)
    return store.job(job.id)


def test_a_withdrawn_draft_is_reported_first(store, wait):
    """List and show name it in place of the state; its text is printed with --json only."""
    job = drafted(store, wait("1.2.3"))
    assert "There is edema." in run("show", job.id)
    store.withdraw(job.id, "Ann", "Withdrawn: trial ended")
    listed = run("list")
    assert "Withdrawn" in listed
    assert "Withdrawn: trial ended. Do not use this draft." in listed
    assert "Delivered" not in listed
    shown = run("show", job.id)
    assert shown.index("Withdrawn: trial ended. Do not use this draft.") < shown.index(job.id)
    assert "by Ann, " in shown
    assert "There is edema." not in shown
    assert "pacs may still show the draft without a notice" in shown
    detail = json.loads(run("show", job.id, "--json"))
    assert detail["draft_status"] == detail["alarm"]["status"] == "WITHDRAWN"
    assert detail["draft"]["findings_text"] == ["There is edema."]


def test_a_draft_in_doubt_is_reported_as_such(store, wait):
    """The differences and what to do are first; the text is shown."""
    job = drafted(store, wait("1.2.3"))
    other = Instance(
        sop_instance_uid="1.2.3.1.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid="1.2.3.1",
        study_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path("other.dcm"),
        digest="b" * 64,
        size=1000,
    )
    store.add_instance(other, calling_ae="CR_1", association_id="b", eligible=True)
    (conflict,) = store.conflicts_to_compare()
    store.compared(conflict, "Patient ID")
    assert "In doubt" in run("list")
    shown = run("show", job.id)
    assert "In doubt: A later copy of its image differs in Patient ID. Verify" in shown
    assert "There is edema." in shown
    assert json.loads(run("show", job.id, "--json"))["notices"][0]["state"] == "PENDING"


@pytest.mark.parametrize("width", [80, 200])
def test_the_list_states_why_jobs_wait(store, wait, width):
    """A waiting and a delivering job have their reasons, as the API has them; 80 columns are enough."""
    study = "1.2.826.0.1.3680043.8.498.12345678901234567890123456789012345678"
    job = wait(study)
    held = drafting(store, wait("1.2.4"))
    delivery, _ = store.claim_delivery(held.id, "sender", 60, {})
    store.postpone_delivery(delivery.id, delivery.fence, "pacs gave no answer within 30 s", 60)
    result = CliRunner(env={"COLUMNS": str(width)}).invoke(jobs, ["list"], catch_exceptions=False)
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= width
    output = " ".join(result.output.replace("│", " ").split())
    assert "did not accept it" in output
    assert "to [[models]]" in output
    assert job.id[:8] in output
    assert (study in output) is (width == 200)
    assert "12345678" in output
    assert len(lines) < 20
    reasons = {each["id"]: each["why"] for each in json.loads(run("list", "--json"))}
    assert reasons[job.id].startswith("No model named tiny is configured.")
    assert "pacs gave no answer within 30 s" in reasons[held.id]


def test_the_list_prints_an_equal_long_reason_once(wait):
    """The jobs below refer to the first one; programs get each reason in full."""
    older, newer = wait("1.2.3"), wait("1.2.4")
    output = " ".join(run("list").replace("│", " ").split())
    assert output.count("No model named tiny is configured.") == 1
    assert f"as job {newer.id[:8]}" in output
    listed = {job["id"]: job["why"] for job in json.loads(run("list", "--json"))}
    assert listed[older.id] == listed[newer.id] != ""


def test_a_job_is_shown_with_the_times_of_the_sites_zone(wait, monkeypatch):
    """Programs get ISO 8601 in UTC."""
    job = wait("1.2.3")
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        shown = run("show", job.id)
    finally:
        monkeypatch.undo()
        time.tzset()
    seoul = job.created_at.astimezone(ZoneInfo("Asia/Seoul"))
    assert shown.count(f"{seoul:%Y-%m-%d %H:%M}") >= 2  # of the job and of its first event
    assert f"{job.created_at:%Y-%m-%d %H:%M}" not in shown
