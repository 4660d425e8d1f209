"""Which drafts the reading worker withholds: by the hash of the study, never those that cannot wait."""

import threading

import pytest

from dicom.phantom import as_dataset, draw, write
from dicom.selection.local_files import describe
from service.drift.withholding import is_chosen
from service.jobs import JobState
from service.settings.config import load_settings
from workers.reading.drafting import Drafting
from workers.reading.reader import Reader

SHARE = 0.5


@pytest.fixture
def work(store, tmp_path):
    """The reading worker's work with a real model, which withholds half of the studies."""
    settings = load_settings(
        data_dir=tmp_path,
        broker={"url": "redis://127.0.0.1:1/0"},
        reading={"model": "tiny"},
        monitor={"withhold": SHARE},
        probe={"enabled": True, "destinations": ["archive"]},
        destinations=[{"kind": "folder", "name": "archive", "path": tmp_path / "out"}],
    )
    reader, abandon = Reader.from_settings(settings), threading.Event()
    yield Drafting(store, settings, reader, print, "reader", abandon, abandon.set)
    reader._model.close()


def read(work, store, folder, seed, *, urgent=False, calling_ae="M"):
    """Return the job of a synthetic image after its reading."""
    image = describe(write(as_dataset(draw(seed, rows=420, columns=400)), folder / f"{seed}.dcm"))
    store.add_instance(image, calling_ae=calling_ae, association_id="A", eligible=True)
    job = store.schedule(
        image.study_instance_uid,
        model="tiny",
        version="1",
        actor="t",
        reason="Released.",
        urgent=urgent,
    )
    with work.watched():
        claimed = work.claim(job.id)
        assert claimed is not None
        work.work(claimed)
    return store.job(job.id)


def test_half_of_the_studies_are_withheld_and_urgent_ones_are_not(work, store, tmp_path):
    """The state stays DRAFTED with the reason, nothing is due; the others are delivered as usual."""
    key, seen = store.withholding_key(), {}
    for seed in range(1, 12):
        uid = as_dataset(draw(seed, rows=420, columns=400)).StudyInstanceUID
        seen.setdefault(is_chosen(uid, key, SHARE), []).append(seed)
    chosen, other = seen[True], seen[False]
    withheld = read(work, store, tmp_path, chosen[0])
    assert (withheld.state, withheld.is_withheld) == (JobState.DRAFTED, True)
    assert withheld.draft is None
    assert store.deliveries(withheld.id) == []
    assert store.job(withheld.id, with_withheld=True).draft is not None
    for job in (
        read(work, store, tmp_path, other[0]),
        read(work, store, tmp_path, chosen[1], urgent=True),
        # A check of which the draft is withheld would fail.
        read(work, store, tmp_path, chosen[2], calling_ae="WETREADPROBE"),
    ):
        assert (job.state, job.is_withheld) == (JobState.DRAFTED, False)
        assert [each.destination for each in store.deliveries(job.id)] == ["archive"]
    assert store.withheld().n == 1
    assert store.release_withheld(store.now()) == 0
