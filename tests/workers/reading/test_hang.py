"""A real reading worker whose device hangs or is busy: nothing is lost, urgent jobs are next."""

import sys

import pytest

from dicom.phantom import as_dataset, draw, write
from dicom.selection.local_files import describe
from service.jobs import JobState
from service.queue.job_queue import Queue
from service.settings.config import as_environment, load_settings
from service.store import Store
from service.sweeper.sweeper import Sweeper
from service.system.supervisor import Part, Supervisor
from tests.databases import make_database

# A reading worker whose device waits while the file "hold" is there, and hangs for ever on images of
# 420 x 416 pixels. That sleep is one in C, which no signal of ours ends and no exception leaves.
WORKER = """
import ctypes
import time

import torch

from service.settings.config import load_settings
from service.log import configure_logging
from workers.reading import model_loading as opening
from workers.app import serve
from workers.model.engine import engine; from workers.model import preprocess

poison = []
answer, load_model = engine.Engine.answer, opening.load_model


def answering(self, frame, *rest, **named):
    if frame.shape == (420, 416):
        poison.append(torch.from_numpy(self.model.pixel_values(preprocess.gray_image(frame))))
    return answer(self, frame, *rest, **named)


def hanging(model):
    see = model.network.read_images

    def read_images(pixels):
        while (settings.data_dir / "hold").exists():
            time.sleep(0.02)
        if any(torch.equal(row, one.reshape(row.shape)) for row in pixels for one in poison):
            ctypes.CDLL(None).sleep(100_000)
        return see(pixels)

    model.network.read_images = read_images
    return model


engine.Engine.answer = answering
opening.load_model = lambda settings: hanging(load_model(settings))
settings = load_settings()
configure_logging(settings.log, process="worker-reading")
serve(settings, ["reading"])
"""


class Site:
    """A database, a Redis and a reading worker under a supervisor."""

    def __init__(self, folder, redis_url, **reading):
        overrides = {
            "data_dir": str(folder / "data"),
            "broker": {"url": redis_url},
            "sweep": {"republish_seconds": 1},
            "reading": {"model": "tiny", "max_new_tokens": 8, "concurrency": 2, **reading},
        }
        self.folder = folder
        self.settings = load_settings(**overrides)
        self.settings.data_dir.mkdir()
        make_database(self.settings.database_url)
        self.store = Store.open(self.settings)
        self.queue = Queue(self.settings)
        self.sweeper = Sweeper(
            self.store, self.settings, self.queue.publish, self.queue.queued_job_ids
        )
        self.exits = []
        program = folder / "worker.py"
        program.write_text(WORKER)
        worker = Part(
            name="worker-reading",
            command=(sys.executable, str(program)),
            environment=as_environment(overrides),
        )
        self.supervisor = Supervisor([worker], on_exit=self.exits.append, stop_seconds=5)

    def job(self, seed, columns=400, *, urgent=False):
        """Return the job of a synthetic study of one image, published."""
        path = self.folder / f"{seed}.dcm"
        image = describe(write(as_dataset(draw(seed, rows=420, columns=columns)), path))
        study = image.study_instance_uid
        self.store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
        made = self.store.schedule(
            study, model="tiny", version="1", actor="t", reason="Released.", urgent=urgent
        )
        self.queue.publish(made)
        return made

    def states(self, *jobs):
        """Return the jobs' states, after a check of the worker and the queue."""
        self.supervisor.check_parts()
        self.sweeper.tick()
        return [self.store.job(job.id).state for job in jobs]

    def close(self):
        """Stop everything."""
        self.supervisor.stop()
        self.queue.close()
        self.store.close()


@pytest.fixture
def site(tmp_path, redis_server):
    """A site whose readings may make no step for ten seconds, and are tried twice."""
    made = Site(tmp_path, redis_server.url, hang_seconds=10, decode_seconds=9, max_attempts=2)
    yield made
    made.close()


@pytest.fixture
def busy(tmp_path, redis_server):
    """A site whose device holds until its file is removed."""
    made = Site(tmp_path, redis_server.url)
    made.hold = made.settings.data_dir / "hold"
    yield made
    made.close()


@pytest.mark.slow
def test_an_urgent_job_is_next_though_all_threads_hold_routine_ones(busy, eventually):
    """It is claimed while the model is busy and every thread full, and drafted before what waited."""
    routine = [busy.job(seed) for seed in range(6)]
    busy.supervisor.start()
    held = (JobState.IN_PROGRESS, JobState.COMPLETED)
    eventually(lambda: busy.states(routine[0])[0] in held, seconds=120, what="the worker")
    busy.hold.touch()
    routine += [busy.job(seed) for seed in range(6, 12)]

    def in_work():
        return busy.states(*routine).count(JobState.IN_PROGRESS)

    eventually(lambda: in_work() == 3, seconds=60, what="full hands")  # two rows, and one more
    urgent = busy.job(50, urgent=True)
    eventually(
        lambda: busy.states(urgent) == [JobState.IN_PROGRESS], seconds=60, what="the urgent claim"
    )
    in_front = [job.id for job in routine if busy.store.job(job.id).state in held]
    waited = [job for job in routine if job.id not in in_front]
    assert waited
    busy.hold.unlink()
    everything = [urgent, *routine]
    eventually(
        lambda: set(busy.states(*everything)) == {JobState.COMPLETED}, seconds=120, what="the end"
    )
    drafted = busy.store.job(urgent.id).updated_at
    assert all(busy.store.job(job.id).updated_at > drafted for job in waited)


@pytest.mark.slow
def test_a_hung_device_costs_a_worker_and_one_image(site, eventually):
    """The study that hangs fails with a message after its tries; the others are read by new workers."""
    poison, good, other = site.job(1, columns=416), site.job(2), site.job(3)
    site.supervisor.start()
    ended = [JobState.FAILED, JobState.COMPLETED, JobState.COMPLETED]
    eventually(
        lambda: site.states(poison, good, other) == ended, seconds=240, what="the end of all three"
    )
    failed = site.store.job(poison.id)
    assert (failed.reason_code, failed.attempts) == ("READING_HANGS", 2)
    assert failed.reason == "The reading made no progress for 10 s; its worker was replaced."

    def exits():
        site.supervisor.check_parts()  # the job may be FAILED before its worker has ended
        return len(site.exits)

    eventually(lambda: exits() == 2, seconds=60, what="the end of the second worker")
    assert {ended.ended_by for ended in site.exits} == {
        "exit status 75 (it requested its replacement)"
    }
    kinds = [each.kind for each in site.store.incidents()]
    assert kinds.count("reading_hangs") >= 2
