"""`wetread jobs resend` and `reread` on the command line, against a real database."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.study import Instance
from service.commands.jobs import jobs
from service.jobs import JobState
from service.records import ResultObject
from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database

SETTINGS = """
[[destinations]]
kind = "folder"
name = "pacs"
path = "pacs"

[[models]]
name = "second"
model = "tiny"
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store of the settings that the command will find."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wetread.toml").write_text(SETTINGS)
    settings = load_settings()
    make_database(settings.database_url)
    opened = Store.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def delivered(store):
    """A function: study -> its COMPLETED job."""

    def make(study):
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
        made = store.schedule(study, model="demo", version="1", actor="intake", reason="Released.")
        job = store.claim_reading(made.id, "reader", 60)
        source = SourceImage(
            sop_instance_uid=image.sop_instance_uid,
            sop_class_uid=image.sop_class_uid,
            series_instance_uid=image.series_instance_uid,
            rows=1,
            columns=1,
        )
        draft = DraftReport(
            study_instance_uid=study,
            source=source,
            revision=1,
            produced_at=job.produced_at,
            findings_text=("Clear.",),
            model=ModelIdentity(name="demo", version="1", weights_sha256="0" * 64),
        )
        result = ResultObject(
            kind="draft-report",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
            sop_instance_uid=f"{study}.9",
            series_instance_uid=f"{study}.8",
            study_instance_uid=study,
            path=Path("nowhere.dcm"),
            sha256="0" * 64,
        )
        store.draft(job.id, job.fence, draft, [result], ["pacs"])
        delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
        store.confirm_delivery(delivery.id, delivery.fence)
        return store.job(job.id)

    return make


def run(*arguments, status=0):
    """Return what `wetread jobs ARGUMENTS` prints."""
    result = CliRunner().invoke(jobs, arguments, catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def test_jobs_are_sent_again_by_name(store, delivered):
    """Each gets its line; a refused one is reported with its reason and the status is 1."""
    first, second = delivered("1.2.3"), delivered("1.2.4")
    printed = run("resend", first.id[:8], "ffffffff", second.id, "--reason", "restored", status=1)
    assert f"{first.id[:8]} Delivering" in printed
    assert "ffffffff refused: there is no job ffffffff" in printed
    assert store.job(second.id).state is JobState.DRAFTED
    event = store.events(first.id)[-1]
    assert event.action == "resend"
    assert event.actor.endswith("(command line)")
    assert "restored" in event.reason


def test_a_filter_is_shown_before_it_is_carried_out(store, delivered):
    """--dry-run changes nothing; without it all that match are sent again, to one destination."""
    job = delivered("1.2.3")
    conditions = ("--destination", "pacs", "--state", "completed", "--since", "2020-01-01")
    printed = run("resend", *conditions, "--dry-run")
    assert "1 jobs match; nothing was changed" in printed
    assert store.job(job.id).state is JobState.COMPLETED
    run("resend", *conditions, "--to", "pacs")
    assert store.job(job.id).state is JobState.DRAFTED


def test_without_a_choice_nothing_is_done(store, delivered):
    """Neither ids nor conditions, or none that match: a message, and a status that is not 0."""
    job = delivered("1.2.3")
    result = CliRunner().invoke(jobs, ["resend"])
    assert result.exit_code != 0
    assert "give a condition" in str(result.exception)
    assert "no job matches" in run("resend", "--study", "9.9.9", status=1)
    assert "no destination is named none" in run("resend", job.id, "--to", "none", status=1)
    assert store.job(job.id).state is JobState.COMPLETED


def test_studies_are_read_again_by_another_model(store, delivered):
    """The new job is named; an unknown model is refused with those that are configured."""
    job = delivered("1.2.3")
    printed = run("reread", "--study", "1.2.3", "--model", "second")
    made = store.jobs(study="1.2.3")[0]
    assert f"{job.id[:8]} is read again as {made.id[:8]}" in printed
    assert made.model_name == "second"
    assert "configured are: demo, second" in run("reread", job.id, "--model", "third", status=1)
