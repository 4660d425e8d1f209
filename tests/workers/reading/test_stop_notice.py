"""Drafting is stopped: a reading in progress ends without a draft, destinations get notices."""

import threading

import pytest

from dicom.phantom import as_dataset, draw, write
from dicom.selection.local_files import describe
from service.audit import AuditAction, AuditEvent
from service.jobs import JobState, ReasonCode
from service.settings.config import load_settings
from service.store import Store
from workers.app import worker_app
from workers.reading.drafting import Drafting
from workers.reading.reader import Reader
from workers.tasks import register_read

STOP = AuditEvent(action=AuditAction.STOPPED_DRAFTING, actor="kim (web page)")
START = AuditEvent(action=AuditAction.STARTED_DRAFTING, actor="kim (web page)")


@pytest.fixture
def work_of(store, tmp_path):
    """A function that returns the work of a reading worker with a real model, by its destinations."""
    made = []

    def make(*destinations):
        settings = load_settings(
            data_dir=tmp_path,
            broker={"url": "redis://127.0.0.1:1/0"},
            reading={"model": "tiny"},
            destinations=destinations,
        )
        reader, abandon = Reader.from_settings(settings), threading.Event()
        work = Drafting(store, settings, reader, print, "reader", abandon, abandon.set)
        work.task = register_read(worker_app(settings), work)
        work.engine = reader.model
        made.append(work)
        return work

    yield make
    for each in made:
        each.engine.close()


def folder(path, **values):
    """Return the table of a destination."""
    return {"kind": "folder", "name": path.name, "path": str(path), **values}


def arrived(store, path, seed=1):
    """Return the job of a synthetic image."""
    film = describe(write(as_dataset(draw(seed, rows=420, columns=400)), path / f"{seed}.dcm"))
    store.add_instance(film, calling_ae="M", association_id="A", eligible=True)
    study = film.study_instance_uid
    return store.schedule(study, model="tiny", version="1", actor="t", reason="Released.")


def test_a_stop_ends_a_reading_in_the_model(work_of, store, tmp_path, monkeypatch, eventually):
    """Stopped between two tokens: nothing is recorded, the job waits; started again, it is drafted."""
    work = work_of(folder(tmp_path / "pacs"))
    job, step, stopped = arrived(store, tmp_path), work.engine._step, []

    def stepping():
        if not stopped:
            stopped.append(store.stop_drafting("wrong side", STOP))
            (lease,) = (lease for _, lease in work._watch._followed.values())
            eventually(lambda: lease.lost, seconds=30, what="the watch")
        step()

    monkeypatch.setattr(work.engine, "_step", stepping)
    with work.watched():
        work.task(job.id)
        waiting = store.job(job.id)
        assert (waiting.state, waiting.reason_code) == (
            JobState.SCHEDULED,
            ReasonCode.DRAFTING_STOPPED,
        )
        assert (waiting.attempts, store.deliveries(job.id)) == (0, [])
        work.task(job.id)
        assert store.job(job.id).state is JobState.SCHEDULED
        store.start_drafting(START)
        work.task(job.id)
    assert store.job(job.id).state is JobState.DRAFTED


def test_a_destination_gets_a_notice_where_that_is_configured(work_of, store, tmp_path):
    """Without the name of the person; after the start the study is read, and its draft is sent."""
    noticed = folder(tmp_path / "pacs", not_analysed=True)
    work = work_of(noticed, folder(tmp_path / "archive"))
    job = arrived(store, tmp_path)
    store.stop_drafting("wrong side", STOP)
    work.task(job.id)
    unread = store.job(job.id)
    assert (unread.state, unread.reason_code) == (
        JobState.NOT_ANALYSED,
        ReasonCode.DRAFTING_STOPPED,
    )
    assert "Drafting is stopped at this site: wrong side." in unread.reason
    assert "kim" not in unread.reason
    assert [each.destination for each in store.deliveries(job.id)] == ["pacs"]
    assert [each.kind for each in store.objects(job.id)] == ["not-analysed"]
    store.start_drafting(START)
    assert store.requeue_stopped() == 1
    work.task(job.id)
    assert store.job(job.id).state is JobState.DRAFTED
    assert {each.destination for each in store.deliveries(job.id)} == {"pacs", "archive"}


def test_without_a_database_nothing_is_claimed(tmp_path, free_port):
    """Whether drafting is stopped is not known then, so nothing is read."""
    settings = load_settings(
        data_dir=tmp_path,
        broker={"url": "redis://127.0.0.1:1/0"},
        destinations=[folder(tmp_path / "pacs", not_analysed=True)],
    )
    away = Store(f"postgresql+psycopg://wetread@127.0.0.1:{free_port()}/none", busy_seconds=1)
    stop = threading.Event()
    work = Drafting(away, settings, None, print, "reader", stop, stop.set)
    assert work.claim("0" * 32) is None
