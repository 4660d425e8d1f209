"""A reading worker's work with a model behind a server: each failure ends its job, the queue goes on."""

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

REPORT = "Findings: The heart is enlarged. Impression: Cardiomegaly."


@pytest.fixture
def work_of(store, tmp_path):
    """A function that returns the work with the model of a server, and the task that does it."""
    made = []

    def make(server):
        reading = {
            "kind": "openai", "model": "chest", "profile": "generic", "server_url": server.url,
            "server_model": "chest", "server_seconds": 5, "max_attempts": 1,
        }  # fmt: skip
        settings = load_settings(
            data_dir=tmp_path, broker={"url": "redis://127.0.0.1:1/0"}, reading=reading
        )
        reader, abandon = Reader.from_settings(settings), threading.Event()
        work = Drafting(store, settings, reader, print, "reader", abandon, abandon.set)
        work.task = register_read(worker_app(settings), work)
        work.replaced = abandon
        made.append(reader)
        return work

    yield make
    for reader in made:
        reader._model.close()


@pytest.fixture
def arrived(store, tmp_path):
    """A function that returns the job of a new synthetic image."""
    seeds = iter(range(1, 100))

    def make():
        seed = next(seeds)
        image = describe(
            write(as_dataset(draw(seed, rows=320, columns=300)), tmp_path / f"{seed}.dcm")
        )
        store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
        study = image.study_instance_uid
        return store.schedule(study, model="chest", version="1", actor="t", reason="Released.")

    return make


def test_each_failure_ends_its_job_and_the_next_is_read(scripted_server, work_of, arrived, store):
    """A refusal fails at once, a failure after its attempts, an outage waits; no worker is replaced."""
    good = lambda: server.events([REPORT], model="chest")  # noqa: E731 - a script of one line
    server = scripted_server(lambda _n, _body: good())
    work = work_of(server)
    scripts = {
        "refused": lambda: server.json({}, 400),
        "failing": lambda: server.json({}, 500),
        "silent": server.silence,
        "away": lambda: server.json({}, 503),
        "good": good,
        "foreign": lambda: server.events([REPORT], model="llama"),
        "good again": good,
    }
    jobs = {}
    with work.watched():
        for name, answer in scripts.items():
            server.script = lambda _n, _body, answer=answer: answer()
            jobs[name] = arrived()
            work.task(jobs[name].id)
    ended = {name: store.job(job.id) for name, job in jobs.items()}
    assert {name: job.state for name, job in ended.items()} == {
        "refused": JobState.FAILED,
        "failing": JobState.FAILED,
        "silent": JobState.FAILED,
        "away": JobState.SCHEDULED,
        "good": JobState.COMPLETED,
        "foreign": JobState.FAILED,
        "good again": JobState.COMPLETED,
    }
    assert ended["away"].attempts == 0
    assert "400" in ended["refused"].reason
    assert "'llama'" in ended["foreign"].reason
    assert not work.replaced.is_set()
