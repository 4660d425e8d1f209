"""The reasons of the queue's rows: each is one short phrase, whatever the job's sentence is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.destination_backlog import Backlog, Pause, Trouble
from service.jobs import JobState
from service.records.models import DraftingStop
from service.web.status.short_reason import short_reason
from tests.service.web.status.test_status_text import beat, situation

LONG = (
    "The image has 3 frames, and a chest radiograph of one frame is needed for a draft of the model"
)


def all_alive():
    """Return the status with a worker of each kind, seen a second ago."""
    return situation(beat("reading"), beat("delivery"))


def short(job, deliveries=(), at=None):
    """Return the reason as text."""
    return short_reason(job, deliveries, at or all_alive()).plain()


def test_a_waiting_job_has_a_short_reason(seeder):
    """Its turn, its next try, or what is missing."""
    job, well = seeder.waiting(1), all_alive()
    stop = DraftingStop(id=1, stopped_at=well.now, stopped_by="ann", reason="A long reason.")
    later = replace(job, not_before=well.now + timedelta(minutes=1), last_error=LONG)
    assert short(job) == "Waiting in the queue"
    assert short(job, at=replace(well, ahead={job.id: 0})) == "Next in the queue"
    assert short(job, at=replace(well, ahead={job.id: 1234})) == "1,234 before it"
    assert short(job, at=situation()) == "No reading worker is alive"
    assert short(job, at=replace(well, broker_fault=LONG)) == "Waiting for the message broker"
    assert short(job, at=replace(well, roles={"x": "reading.x"})) == "No model demo is configured"
    assert short(job, at=replace(well, stop=stop)) == "Drafting is stopped"
    assert short(later).startswith("Next try 20")


def test_a_draft_that_is_not_delivered_has_a_short_reason(seeder, site):
    """Silent, paused, refused: the destination and one cause."""
    job = seeder.drafted(1)
    assert short(job, site.store.deliveries(job.id)) == "Waiting to be sent to orthanc"
    assert (
        short(job, site.store.deliveries(job.id), situation(beat("reading")))
        == "No delivery worker is alive"
    )
    seeder.deliver(job, error=LONG)
    tried = site.store.deliveries(job.id)
    assert short(job, tried).startswith("orthanc did not accept it; next try 20")
    well = all_alive()
    silent = Backlog(
        destination="orthanc",
        configured=True,
        waiting=1,
        trouble=Trouble.SILENT,
        failed_at=well.now,
        tried_since=well.now,
    )
    away = replace(well, backlogs={"orthanc": silent})
    assert short(job, tried, away).startswith("orthanc does not answer; next try 20")
    pause = Pause(destination="orthanc", paused_at=well.now, paused_by="ann", reason=LONG)
    paused = replace(well, backlogs={"orthanc": replace(silent, pause=pause)})
    assert short(job, tried, paused) == "Deliveries to orthanc are paused"


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.NOT_ANALYSED, JobState.CANCELED])
def test_the_reason_of_an_ended_job_is_cut_at_a_word(seeder, state):
    """Its first sentence, and not more than a line of it."""
    job = replace(seeder.waiting(1), state=state, reason=f"{LONG}. Send another one.")
    assert short(job) == "The image has 3 frames, and a chest radiograph of one frame is needed …"
    job = replace(job, reason="No image can be read. Send another one.")
    assert short(job) == "No image can be read"
