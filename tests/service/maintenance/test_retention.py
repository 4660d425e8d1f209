"""The removal of old images and results."""

import shutil
import threading

import pytest
from sqlalchemy import text

from dicom.spool.levels_file import levels_path, write_levels
from dicom.spool.spool import Spool
from service.jobs import JobState
from tests.service.sweeper.studies import STUDY, drafted, old, schedule, sweep_for


def test_old_files_go_and_rows_stay(sweeper, store, settings, clock, arrive):
    """After retention_days the image and the results are gone from the disk, the job is still listed."""
    path = arrive()
    assert write_levels(path, b"levels")
    job = drafted(store, settings, schedule(store))
    delivery, (item,) = store.claim_delivery(job.id, "sender", 60, {})
    store.confirm_delivery(delivery.id, delivery.fence)
    clock.move(30 * 86400 - 60)
    sweeper.tick()
    assert path.exists()
    assert levels_path(path).exists()
    clock.move(120)
    sweeper.tick()
    assert not path.exists()
    assert not levels_path(path).exists()
    assert not path.parent.exists()
    assert settings.spool_dir.exists()
    assert not item.path.exists()
    kept = store.job(job.id)
    assert kept.state is JobState.COMPLETED
    assert kept.removed_at == clock.now
    assert store.events(job.id)[-1].action == "remove_files"


def test_an_image_that_comes_again_after_its_removal_is_kept_as_long_as_a_new_one(
    sweeper, store, settings, clock, arrive
):
    """The image is read again as a new revision, and is not kept for ever."""
    arrive()
    job = drafted(store, settings, schedule(store))
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.confirm_delivery(delivery.id, delivery.fence)
    clock.move(31 * 86400)
    sweeper.tick()
    path = arrive()
    clock.move(3)
    sweeper.tick()
    (again,) = (each for each in store.jobs(study=STUDY) if each.revision == 2)
    assert again.supersedes == job.id
    held = store.claim_reading(again.id, "reader", 60)
    store.cancel_unchanged(again.id, held.fence, "NO_CHANGE", "The earlier draft stands.")
    clock.move(29 * 86400)
    sweeper.tick()
    assert path.exists()
    clock.move(2 * 86400)
    sweeper.tick()
    assert not path.exists()
    assert [event.action for event in store.events(job.id)].count("remove_files") == 1


def test_a_removal_that_was_killed_in_the_middle_is_finished(
    sweeper, store, settings, clock, arrive
):
    """The folder is missing but not recorded: the next sweeper records it and does not fail."""
    job, path = old(store, settings, arrive)
    path.unlink()
    path.parent.rmdir()
    clock.move(31 * 86400)
    sweeper.tick()
    assert store.job(job.id).removed_at == clock.now
    assert store.spooled(STUDY) == []
    assert settings.spool_dir.exists()


def test_one_study_that_cannot_be_removed_does_not_hold_up_the_others(
    sweeper, store, settings, clock, arrive
):
    """It is an incident, once, and tried again after an hour."""
    bad, stuck = old(store, settings, arrive, "1.1")
    good, path = old(store, settings, arrive, "1.2")
    stuck.unlink()
    (stuck / "not an image").mkdir(parents=True)
    clock.move(31 * 86400)
    sweeper.tick()
    assert not path.exists()
    assert store.job(good.id).removed_at == clock.now
    assert store.job(bad.id).removed_at is None
    clock.move(61)
    sweeper.tick()
    (incident,) = store.incidents()
    assert (incident.kind, incident.subject) == ("files_not_removed", "1.1")
    (stuck / "not an image").rmdir()
    stuck.rmdir()
    clock.move(3600)
    sweeper.tick()
    assert store.job(bad.id).removed_at == clock.now


def test_a_spool_without_images_is_no_removal(sweeper, store, settings, clock, arrive):
    """Without its disk no missing image is recorded as removed; it is removed once mounted again."""
    job, path = old(store, settings, arrive)
    away = settings.spool_dir.rename(settings.data_dir / "on another disk")
    clock.move(31 * 86400)
    sweeper.tick()
    assert store.job(job.id).removed_at is None
    assert [image.path for image in store.spooled(STUDY)] == [path]
    (incident,) = store.incidents()
    assert "is the spool's disk mounted?" in incident.detail
    shutil.rmtree(settings.spool_dir)
    away.rename(settings.spool_dir)
    clock.move(3600)
    sweeper.tick()
    assert not path.exists()
    assert store.job(job.id).removed_at == clock.now


@pytest.mark.parametrize("number", [1, 2])
def test_an_image_that_comes_while_its_study_is_removed_stays(
    sweeper, store, settings, clock, arrive, monkeypatch, number
):
    """The same image again or another: an image acknowledged after the selection is not deleted."""
    job, _ = old(store, settings, arrive)
    clock.move(31 * 86400)
    choose = store.removable
    paths = []

    def chosen_and_then_it_comes(*arguments, **keywords):
        studies = choose(*arguments, **keywords)
        paths.append(arrive(number))
        return studies

    monkeypatch.setattr(store, "removable", chosen_and_then_it_comes)
    sweeper.tick()
    assert paths[0].exists()
    assert paths[0] in [each.path for each in store.spooled(STUDY)]
    assert store.job(job.id).removed_at is None


def test_retention_waits_for_a_sender_that_is_between_file_and_row(
    sweeper, store, settings, clock, arrive, monkeypatch
):
    """It holds the image's lock: once its row is committed, the image that it sent again stays."""
    job, path = old(store, settings, arrive)
    clock.move(31 * 86400)
    chosen = threading.Event()
    listed = store.spooled
    monkeypatch.setattr(store, "spooled", lambda study: (listed(study), chosen.set())[0])
    with Spool(settings.spool_dir).uid_lock(f"{STUDY}.1.1"):
        looking = threading.Thread(target=sweeper.tick)
        looking.start()
        assert chosen.wait(20)
        arrive()
    looking.join(20)
    assert path.exists()
    assert store.job(job.id).removed_at is None


def test_what_is_not_delivered_is_never_removed(sweeper, store, settings, clock, arrive):
    """A draft that waits for its destination keeps its image and objects, however old it is."""
    path = arrive()
    job = drafted(store, settings, schedule(store))
    clock.move(300 * 86400)
    sweeper.tick()
    assert path.exists()
    assert store.objects(job.id)[0].path.exists()


def refused(store, settings, job):
    """Keep a draft that its only destination refuses."""
    drafted(store, settings, job)
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    assert store.fail_delivery(delivery.id, delivery.fence, "It said no.") is JobState.FAILED
    return job


def test_what_a_destination_refused_stays_until_a_person_gives_it_up(
    sweeper, store, settings, clock, arrive
):
    """However old it is, it can be sent again; a canceled job is not kept for delivery."""
    image = arrive()
    job = refused(store, settings, schedule(store))
    sweep_for(60, sweeper, clock)
    clock.move(400 * 86400)
    sweeper.tick()
    assert store.job(job.id).removed_at is None
    assert image.exists()
    assert store.cancel(job.id, "admin").state is JobState.CANCELED
    clock.move(400 * 86400)
    sweeper.tick()
    assert store.job(job.id).removed_at == clock.now
    assert not image.exists()


def test_what_a_destination_refused_is_let_go_by_a_later_draft(
    sweeper, store, settings, clock, arrive
):
    """The later draft replaces it; neither a retry nor a manual check is needed."""
    images = [arrive(1)]
    first = refused(store, settings, schedule(store))
    images.append(arrive(2))
    second = drafted(store, settings, schedule(store), ())
    assert store.job(second.id).state is JobState.COMPLETED
    assert store.job(first.id).superseded_by is None  # nothing of it is in any PACS
    clock.move(400 * 86400)
    sweeper.tick()
    assert all(store.job(job.id).removed_at for job in (first, second))
    assert not any(image.exists() for image in images)


def test_what_a_destination_refused_is_let_go_by_a_recall(sweeper, store, settings, clock, arrive):
    """A withdrawn draft is not kept for delivery."""
    image = arrive()
    job = refused(store, settings, schedule(store))
    store.withdraw(job.id, "admin", "The model is recalled.")
    recalled = store.job(job.id)
    assert (recalled.state, recalled.reason_code) == (JobState.CANCELED, "RECALLED")
    clock.move(400 * 86400)
    sweeper.tick()
    assert store.job(job.id).removed_at == clock.now
    assert not image.exists()


def test_an_image_outside_the_spool_is_not_removed(
    sweeper, store, settings, clock, arrive, tmp_path
):
    """Retention does not delete a file outside its folders that a row names."""
    arrive()
    precious = tmp_path / "precious"
    precious.write_text("x")
    with store._writing() as session:
        from sqlalchemy import text  # noqa: PLC0415 - a fault put in through a private attribute

        session.execute(text("UPDATE instances SET path = :path"), {"path": str(precious)})
    drafted(store, settings, schedule(store), ())
    clock.move(31 * 86400)
    sweeper.tick()
    assert precious.exists()


def test_an_unreadable_draft_does_not_stop_retention(store, settings, sweeper, clock, arrive):
    """Files of every old study are removed, also where a draft cannot be read."""
    paths = {}
    for study in ("1.5.1", "1.5.2"):
        paths[study] = arrive(1, study=study)
        job = schedule(store, study)
        drafted(store, settings, job)
        delivery, _ = store.claim_delivery(job.id, "d", 60, {})
        store.confirm_delivery(delivery.id, delivery.fence)
    with store._engine.begin() as connection:  # as another version might have written it
        spoiled = text("UPDATE jobs SET draft = :draft WHERE study_instance_uid = '1.5.1'")
        connection.execute(spoiled, {"draft": '{"new": 1}'})
    clock.move((settings.sweep.retention_days + 1) * 86400)
    sweep_for(1200, sweeper, clock)
    assert [path.exists() for path in paths.values()] == [False, False]
    assert sweeper.failing == []
