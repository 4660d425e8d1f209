import threading
from pathlib import Path

import pytest

from dicom.phantom import as_dataset, draw
from dicom.study import Instance
from service.receiver.intake import Intake
from service.receiver.release_queue import ReleaseQueue
from service.settings.config import load_settings

HEADER = as_dataset(draw(seed=1, rows=64, columns=64), seed=1)


@pytest.fixture
def published():
    """The published jobs, a list for each call."""
    return []


@pytest.fixture
def releases(store, tmp_path, published):
    """A function that makes the tested queue, with a hook in publishing."""

    def make(publishing=lambda: None) -> tuple[Intake, ReleaseQueue]:
        def publish(*jobs):
            published.append([job.study_instance_uid for job in jobs])
            publishing()

        intake = Intake(store, load_settings(data_dir=tmp_path, receiver={"open": True}), publish)
        return intake, ReleaseQueue(intake)

    return make


def arrive(intake, number):
    """Let an image of a study of its own arrive on an association of its own; return its id."""
    image = Instance(
        sop_instance_uid=f"1.{number}.1",
        sop_class_uid=str(HEADER.SOPClassUID),
        series_instance_uid=f"1.{number}.2",
        study_instance_uid=f"1.{number}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path(f"/spool/{number}"),
        digest="a" * 64,
        size=1,
    )
    intake.instance_arrived(image, HEADER, calling_ae="MODALITY", association_id=f"A{number}")
    return f"A{number}"


def test_what_ends_meanwhile_is_made_together_without_a_wait(releases, published):
    """Four associations end while the first job is published; closing waits for all of them."""
    begun, go = threading.Event(), threading.Event()

    def publishing():
        begun.set()
        assert go.wait(20)

    intake, made = releases(publishing)
    ended = [arrive(intake, number) for number in range(5)]
    made.add(ended[0])
    assert begun.wait(20)
    for association in ended[1:]:
        made.add(association)
    assert published == [["1.0"]]
    go.set()
    made.close()
    assert [sorted(each) for each in published] == [["1.0"], ["1.1", "1.2", "1.3", "1.4"]]


def test_releases_that_follow_each_other_are_gathered(releases, published):
    """Twenty at once become far fewer transactions and messages, and each study has its job."""
    intake, made = releases()
    ended = [arrive(intake, number) for number in range(20)]
    for association in ended:
        made.add(association)
    made.close()
    made_of = sorted(study for each in published for study in each)
    assert made_of == sorted(f"1.{number}" for number in range(20))
    assert len(published) < 10


def test_a_bug_while_making_jobs_is_logged_and_the_next_are_made(releases, published, capfd):
    """The thread continues after the error, and no value is quoted."""
    faults = [RuntimeError("Doe^John")]

    def publishing():
        if faults:
            raise faults.pop()

    intake, made = releases(publishing)
    made.add(arrive(intake, 1))
    made._thread.submit(lambda: None).result()
    made.add(arrive(intake, 2))
    made.close()
    assert published == [["1.1"], ["1.2"]]
    output = "".join(capfd.readouterr())
    assert "jobs_not_scheduled" in output
    assert "Doe" not in output


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_release_for_which_there_was_no_thread_goes_with_the_next(
    releases, published, monkeypatch, error
):
    """The next release handles both, for any cause of the delay."""
    intake, made = releases()
    ended = arrive(intake, 1)

    def refuse(*_):
        raise error

    monkeypatch.setattr(made._thread, "submit", refuse)
    with pytest.raises(error):
        made.add(ended)
    monkeypatch.undo()
    made.add(arrive(intake, 2))
    made.close()
    assert sorted(study for each in published for study in each) == ["1.1", "1.2"]


def test_a_release_that_a_dead_process_took_with_it_is_made_good(releases, store, clock):
    """Killed between Success and its jobs: the study is due for the sweeper after its quiet time."""
    intake, _ = releases()
    arrive(intake, 1)
    assert store.quiet_studies(clock()) == []
    assert store.quiet_studies(clock.move(60)) == ["1.1"]
