"""A canceled job leaves the model at its next step, and its neighbors continue."""

import threading

import pytest

from dicom.phantom import as_dataset, draw, write
from dicom.selection.local_files import describe
from service.jobs import JobState
from service.settings.config import load_settings
from workers.app import worker_app
from workers.reading.drafting import Drafting
from workers.reading.reader import Reader
from workers.tasks import register_read


@pytest.fixture
def work(store, tmp_path):
    """The reading worker's work with a real model, and the task that does it."""
    settings = load_settings(
        data_dir=tmp_path, broker={"url": "redis://127.0.0.1:1/0"}, reading={"model": "tiny"}
    )
    reader, abandon = Reader.from_settings(settings), threading.Event()
    made = Drafting(store, settings, reader, print, "reader", abandon, abandon.set)
    made.task = register_read(worker_app(settings), made)
    made.engine = reader._model
    yield made
    made.engine.close()


def arrived(store, folder, seed):
    """The job of a synthetic image."""
    image = describe(write(as_dataset(draw(seed, rows=420, columns=400)), folder / f"{seed}.dcm"))
    store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
    study = image.study_instance_uid
    return store.schedule(study, model="tiny", version="1", actor="t", reason="Released.")


def test_a_canceled_job_leaves_the_model(work, store, tmp_path, monkeypatch, eventually):
    """Canceled in the database while both are written: a step later one is gone, one is drafted."""
    gone, stays = arrived(store, tmp_path, 1), arrived(store, tmp_path, 2)
    rows, step, take, met = [], work.engine._step, work.engine._take, []

    def both():
        return rows or work.engine._waiting or len(work.engine._rows) > 1

    def taking():
        if not met:  # the engine may have taken the first order by itself: let the second come
            met.append(eventually(both, seconds=60, what="the second"))
        return take()

    def stepping():
        if len(work.engine._rows) == 2 and not rows:
            store.cancel(gone.id, "admin")
            (lost,) = (lease for job, lease in work._watch._followed.values() if job.id == gone.id)
            eventually(lambda: lost.lost, seconds=30, what="the watch")
            rows.append(2)
        step()
        if rows:
            rows.append(len(work.engine._rows))

    monkeypatch.setattr(work.engine, "_take", taking)
    monkeypatch.setattr(work.engine, "_step", stepping)
    threads = [threading.Thread(target=work.task, args=[job.id]) for job in (gone, stays)]
    with work.watched():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert rows[:2] == [2, 1]
    assert store.job(gone.id).state is JobState.CANCELED
    assert store.job(stays.id).state is JobState.COMPLETED
