"""A reading leaves the vector of its image; a lost file is rebuilt; words and images are searched."""

import json
import logging
import threading

import numpy as np
import pytest
from click.testing import CliRunner

from dicom.content.report import Observation, Side
from dicom.phantom import PhantomFinding, as_dataset, draw, write
from dicom.selection.local_files import describe
from service.audit import AuditAction
from service.search.similar import NoResult, StudySearch
from service.settings.config import load_settings
from service.store import Store
from service.store.audit.trail import AuditFilter
from tests.databases import make_database
from workers.app import worker_app
from workers.commands.search import search
from workers.reading.drafting import Drafting
from workers.reading.model_loading import load_model
from workers.reading.reader import Reader
from workers.reading.vector_rebuild import VectorRebuild
from workers.tasks import register_read

LEFT = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.LEFT)
HEART = PhantomFinding(observation=Observation.CARDIOMEGALY)
FINDINGS = [(LEFT,), (LEFT,), (HEART,), (HEART,), (), ()]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site at which the demo model has read six phantoms; the current folder is its own."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "wetread.toml").write_text(
            '[reading]\nmodel = "demo"\n[broker]\nurl = "redis://127.0.0.1:1/0"\n'
        )
        settings = load_settings()
        make_database(settings.database_url)
        store = Store(settings.database_url)
        reader, abandon = Reader.from_settings(settings), threading.Event()
        work = Drafting(store, settings, reader, print, "reader", abandon, abandon.set)
        task = register_read(worker_app(settings), work)
        studies = []
        for number, findings in enumerate(FINDINGS):
            image = as_dataset(draw(970_000_000 + number, rows=320, columns=320, findings=findings))
            film = describe(write(image, folder / f"{number}.dcm"))
            store.add_instance(film, calling_ae="M", association_id="A", eligible=True)
            study = film.study_instance_uid
            job = store.schedule(study, model="demo", version="1", actor="t", reason="Released.")
            task(job.id)
            studies.append(study)
        reader.model.close()
        yield settings, store, studies
        store.close()


def test_each_reading_leaves_a_vector_from_the_same_pass(site):
    """Equal to the vector that the model makes of the image alone; nothing is written twice."""
    settings, store, studies = site
    [space] = store.vector_spaces()
    index = StudySearch(store, settings).index_of(space)
    assert store.vector_spaces() == {space: 6}
    assert index.damaged == []
    model = load_model(settings)
    assert model.checkpoint.vector_space == space
    rows = {study: store.vectors_of_study(study)[0][1].row for study in studies}
    for study, row in rows.items():
        vector = index.vector(row)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert store.study(study).instances[0].sop_instance_uid
    assert len(set(rows.values())) == 6


def test_a_lost_file_is_rebuilt_to_the_same_vectors(site):
    """Also a file that another program wrote; what is right is not made again."""
    settings, store, studies = site
    searching = StudySearch(store, settings)
    [space] = store.vector_spaces()
    before = {study: searching.similar_to(study) for study in studies}
    path = searching.files.path(space)
    for spoil in (path.unlink, lambda: path.write_bytes(b"something else" * 100)):
        content = path.read_bytes()
        spoil()
        done = VectorRebuild(store, settings, load_model(settings), print).run()
        assert (done.made, done.kept, done.unreadable, done.removed) == (6, 0, 0, 0)
        assert len(path.read_bytes()) == len(content)
    done = VectorRebuild(store, settings, load_model(settings), print).run()
    assert (done.made, done.kept) == (0, 6)
    for study in studies:
        again = StudySearch(store, settings).similar_to(study)
        expected = [
            (each.study_uid, round(each.neighbor.cosine, 5)) for each in before[study].studies
        ]
        found = [(each.study_uid, round(each.neighbor.cosine, 5)) for each in again.studies]
        assert found == expected


def call(*arguments, code=0):
    """Run `wetread search`; return what it printed."""
    result = CliRunner().invoke(search, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def test_the_command_searches_by_words_and_by_an_image(site, tmp_path):
    """JSON with a caution; the same image is its own closest; each search is audited."""
    _, store, studies = site
    found = json.loads(call("left", "pleural", "effusion", "--json"))
    assert found["caution"] == "AI search, unverified"
    assert {each["study_instance_uid"] for each in found["studies"]} == set(studies[:2])
    assert "left pleural effusion" in found["studies"][0]["findings"]
    image = as_dataset(draw(970_000_000, rows=320, columns=320, findings=(LEFT,)))
    near = json.loads(call(str(write(image, tmp_path / "again.dcm")), "--json"))
    assert near["studies"][0]["study_instance_uid"] == studies[0]
    assert near["studies"][0]["cosine"] == pytest.approx(1, abs=1e-4)
    assert near["compared"] == 6
    assert "nothing was found" in call("xylophone", code=3).lower()
    assert "nothing was found" in call("xylophone " * 90, code=3).lower()
    details = [each.event.detail for each in store.audit_records(AuditFilter(), limit=9)]
    assert {"studies by text", "studies by an image"} <= set(details)


def test_a_vector_is_in_no_log_and_no_record_of_the_job(site, caplog):
    """Vectors are patient data: they are in their file only."""
    settings, store, studies = site
    [job] = store.jobs(study=studies[0])
    assert "vector" not in json.dumps(store.job(job.id).draft.to_json())
    caplog.set_level(logging.DEBUG)
    assert StudySearch(store, settings).similar_to("1.2.3").nothing is NoResult.NO_VECTOR
    assert AuditAction.SEARCHED == "searched"
