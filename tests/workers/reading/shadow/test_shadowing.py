"""A shadow model reads the studies of the model in use; nothing of it becomes a result."""

import hashlib
import threading

import pytest

from dicom.phantom import as_dataset, draw, write
from dicom.selection.local_files import describe
from service.errors import PermanentReadingError, ReaderStopped, TransientReadingError
from service.jobs import JobState
from service.records.models import ModelFacts
from service.records.shadow import ShadowState
from service.records.shadow_summary import summary
from service.settings.config import load_settings
from workers.reading.model_facts import facts_of
from workers.reading.reader import Reader
from workers.reading.shadow.shadowing import Shadowing
from workers.tasks import work_on
from workers.training import as_llava

TABLE = {"name": "trial", "model": "tiny", "model_version": "2", "shadow": True}


@pytest.fixture
def settings(tmp_path):
    """The settings of the shadow model's worker."""
    site = load_settings(data_dir=tmp_path, broker={"url": "redis://127.0.0.1:1/0"}, models=[TABLE])
    return site.for_model("trial")


class Failing:
    """A reader whose reading ends with an error."""

    def __init__(self, error):
        self.error = error

    def draft(self, *_, **__):
        """Raise the error."""
        raise self.error


def arrived(store, folder, seed=1):
    """Return the job of a synthetic image, which waits."""
    image = describe(write(as_dataset(draw(seed, rows=420, columns=400)), folder / f"{seed}.dcm"))
    store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
    study = image.study_instance_uid
    return image, store.schedule(study, model="tiny", version="1", actor="t", reason="Released.")


def drafted(store, drafts, folder, seed=1):
    """Return a job with the draft of the model in use."""
    image, job = arrived(store, folder, seed)
    job = store.claim_reading(job.id, "reader", 60)
    return store.draft(job.id, job.fence, drafts.draft(image, job.produced_at), [], ["pacs"])


def test_its_draft_is_kept_and_compared_and_nothing_else_changes(store, tmp_path, settings, drafts):
    """A real model: the row has draft, prompt digest, version; job, deliveries, outbox are as before."""
    job = drafted(store, drafts, tmp_path)
    before = (store.job(job.id), store.deliveries(job.id), store.objects(job.id))
    reader = Reader.from_settings(settings)
    shadowing = Shadowing(store, settings, reader, "s", threading.Event())
    try:
        assert work_on(shadowing, shadowing.claim()) is None
    finally:
        reader.model.close()
    [kept] = store.shadow_readings("trial", limit=10)
    assert kept.state is ShadowState.DRAFTED
    assert (kept.draft.model.version, kept.model_version) == ("2", "2")
    assert kept.prompt_sha256 == hashlib.sha256(kept.draft.model.prompt.encode()).hexdigest()
    assert kept.comparison.same_image
    assert kept.comparison.characters_in_use == len("Clear.")
    assert kept.comparison.characters_shadow > 0
    assert (store.job(job.id), store.deliveries(job.id), store.objects(job.id)) == before
    assert [each.id for each in store.jobs()] == [job.id]
    assert not settings.outbox_dir.exists()
    assert shadowing.claim() is None


def test_it_leaves_the_model_when_a_study_arrives(store, tmp_path, settings, drafts):
    """A reading in progress is abandoned, uncounted; it starts again when the study has been read."""
    drafted(store, drafts, tmp_path)
    reader = Reader.from_settings(settings)
    shadowing = Shadowing(store, settings, reader, "s", threading.Event())
    claim, jobs = shadowing.claim(), []

    class Interrupted:
        """A reader in whose first step a study arrives."""

        def draft(self, study, *, canceled, **keywords):
            """Read with the real model, and let a study arrive at the first question."""

            def asked():
                if not jobs:
                    jobs.append(arrived(store, tmp_path, 2)[1])
                    canceled._looked -= 60
                return canceled()

            return reader.draft(study, canceled=asked, **keywords)

    shadowing._reader = Interrupted()
    try:
        assert work_on(shadowing, claim) is not None
        assert store.shadow_readings("trial", limit=10) == []
        assert shadowing.claim() is None
        assert store.claim_reading(jobs[0].id, "reader", 60) is not None
        store.cancel(jobs[0].id, "t")
        assert shadowing.claim().attempt == 1
    finally:
        reader.model.close()


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (PermanentReadingError("The answer is empty."), ShadowState.FAILED),
        (ValueError("Kim^Anna"), ShadowState.FAILED),
        (TransientReadingError("No memory."), ShadowState.READING),
        (ReaderStopped("The engine has ended."), ShadowState.READING),
    ],
)
def test_what_ends_it_concerns_no_study(store, tmp_path, settings, drafts, error, state):
    """The study's job stays for any outcome; no value of a foreign error is kept."""
    job = drafted(store, drafts, tmp_path)
    shadowing = Shadowing(store, settings, Failing(error), "s", threading.Event())
    assert work_on(shadowing, shadowing.claim()) is error
    [kept] = store.shadow_readings("trial", limit=10)
    assert (kept.state, kept.attempts) == (state, 1)
    assert "Anna" not in kept.reason
    assert store.job(job.id).state is JobState.DRAFTED
    assert shadowing.must_be_replaced(error) == isinstance(error, ReaderStopped)


def test_a_stop_abandons_the_reading(store, tmp_path, settings, drafts):
    """A process that is stopped leaves the study to the next process."""
    drafted(store, drafts, tmp_path)
    stop, reader = threading.Event(), Reader.from_settings(settings)
    shadowing = Shadowing(store, settings, reader, "s", stop)
    claim = shadowing.claim()
    stop.set()
    try:
        assert work_on(shadowing, claim) is not None
    finally:
        reader.model.close()
    assert store.shadow_readings("trial", limit=10) == []


REPORT = (
    "Findings: The heart is enlarged. There is a small right pleural effusion. No pneumothorax.\n"
    "Impression: Cardiomegaly with a right pleural effusion."
)


@pytest.fixture(params=["openai", "transformers"])
def table(request, tmp_path, scripted_server):
    """The keys of a shadow model of another kind, ready to be loaded."""
    if request.param == "openai":
        server = scripted_server(lambda _n, _body: server.events([REPORT], model="chest"))
        own = {"profile": "generic", "server_url": server.url, "server_model": "chest"}
    else:
        as_llava.write(tmp_path / "own")
        own = {"model_dir": tmp_path / "own", "profile": str(tmp_path / "own" / "profile.toml")}
    return {"name": "trial", "kind": request.param, "shadow": True, **own}


def test_each_kind_of_model_reads_in_the_shadow_and_says_what_is_loaded(
    store, tmp_path, drafts, table
):
    """A checkpoint of the transformers library and a server; the page shows kind and trial."""
    site = load_settings(data_dir=tmp_path, broker={"url": "redis://127.0.0.1:1/0"}, models=[table])
    settings = site.for_model("trial")
    drafted(store, drafts, tmp_path)
    reader = Reader.from_settings(settings)
    try:
        facts = facts_of(reader, settings)
        shadowing = Shadowing(store, settings, reader, "s", threading.Event())
        assert work_on(shadowing, shadowing.claim()) is None
    finally:
        reader.model.close()
    [kept] = store.shadow_readings("trial", limit=10)
    assert (kept.state, kept.comparison.same_image) == (ShadowState.DRAFTED, True)
    assert kept.comparison.coded_shadow
    assert summary([kept]).compared == 1
    assert (facts.kind, bool(facts.licence), bool(facts.tried)) == (table["kind"], True, True)
    assert ModelFacts.from_json(facts.to_json()) == facts
