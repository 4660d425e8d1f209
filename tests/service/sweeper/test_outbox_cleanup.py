"""The removal of files of expired claims from the outbox."""

import pytest

from service.jobs import JobState
from service.sweeper import outbox_cleanup
from service.sweeper.sweeper import Sweeper
from tests.service.sweeper.studies import drafted, schedule


@pytest.mark.parametrize("state", [JobState.DRAFTED, JobState.FAILED, JobState.CANCELED])
def test_what_void_claims_left_goes(sweeper, store, settings, clock, arrive, state):
    """After ten leases; the folder of the job's results stays, and so do refused objects."""
    arrive()
    job = schedule(store)
    folder = settings.outbox_dir / job.id
    for _ in range(2):
        held = store.claim_reading(job.id, "reader", 60)
        store.hand_back(job.id, held.fence, "LEASE_EXPIRED", "Its worker was lost.")
    if state is JobState.DRAFTED:
        drafted(store, settings, job)
    else:
        held = store.claim_reading(job.id, "reader", 60)
        if state is JobState.FAILED:
            store.fail(job.id, held.fence, "KEY_ERROR", "KeyError")
        else:
            store.cancel(job.id, "admin")
    for name in ("1", "2", "3", "4", "quarantine"):
        left(folder / name)
    clock.move(599)
    sweeper.tick()
    assert {path.name for path in folder.iterdir()} == {"1", "2", "3", "4", "quarantine"}
    clock.move(62)
    sweeper.tick()
    kept = {"3"} if state is JobState.DRAFTED else set()
    # No claim has that number yet: its worker may be active.
    assert {path.name for path in folder.iterdir()} == kept | {"4", "quarantine"}


def test_what_void_claims_left_goes_of_every_job(store, settings, clock, arrive, post, monkeypatch):
    """Any number of them that ended at one moment; a job in progress keeps its files."""
    monkeypatch.setattr(outbox_cleanup, "_AT_ONCE", 2)
    folders = []
    for number in range(5):
        arrive(study=f"1.{number}")
        job = schedule(store, f"1.{number}")
        held = store.claim_reading(job.id, "reader", 1e6)
        folders.append(left(settings.outbox_dir / job.id / "1"))
        if number:
            store.fail(job.id, held.fence, "KEY_ERROR", "KeyError")
    sweeper = Sweeper(store, settings, post)
    clock.move(601)
    for _ in range(3):
        sweeper.tick()
        clock.move(61)
    assert [folder.exists() for folder in folders] == [True, False, False, False, False]


def test_the_outbox_is_looked_through_again_when_the_clock_was_set_back(
    sweeper, store, settings, clock, arrive
):
    """A claim that ended while the clock was ahead hides no earlier one."""
    ended = []
    for study in ("1.1", "1.2"):
        clock.move(7200 if study == "1.1" else -7200)
        arrive(study=study)
        job = schedule(store, study)
        held = store.claim_reading(job.id, "reader", 60)
        store.fail(job.id, held.fence, "KEY_ERROR", "KeyError")
        ended.append(left(settings.outbox_dir / job.id / "1"))
        clock.move(700)
        sweeper.tick()
        clock.move(-700)
    assert [folder.exists() for folder in ended] == [False, False]


def left(folder):
    """Leave a complete result in the folder of a claim; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "draft-report.dcm").write_bytes(b"report")
    return folder
