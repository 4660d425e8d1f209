"""The short form of `benchmarks/faults.py`: every kind of fault once, under load; and its judgement."""

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"
KINDS = 34
PATIENTS = {"1.1": ("A",), "1.2": ("B",)}


@pytest.mark.orthanc
@pytest.mark.dcmtk
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("orthanc_server_class", "dcmtk")
def test_no_acknowledged_film_is_lost_doubled_or_filed_under_another_patient():
    """Whatever breaks meanwhile: one draft a study and revision in the PACS, and no manual step."""
    load = ["--senders", "2", "--pause", "3", "--seed", "4"]
    faults = ["--faults", str(KINDS), "--every", "0.7", "--scale", "0.1"]
    waits = ["--settle", "120", "--tidy", "0"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *load, *faults, *waits], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 promises broken" in done.stdout


@pytest.fixture
def torment(monkeypatch):
    """What imports a module of the harness."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return lambda name: importlib.import_module(f"torment.{name}")


@pytest.fixture
def site_of_two(torment):
    """Two studies that were acknowledged, and what should lie in the PACS of them."""
    load, pacs = torment("load"), torment("pacs")

    def film(uid, view="PA"):
        path = Path(f"{uid}.dcm")
        return load.Film(path=path, sop_instance_uid=uid, view=view, picture=0, acknowledged=1)

    def draft(study, revision, about):
        return pacs.Draft(
            study_instance_uid=study,
            sop_instance_uid=f"{study}.9.{revision}",
            patient=PATIENTS[study],
            sha256="",
            revision=revision,
            film=about,
            findings=("The lungs are clear.",),
        )

    first = load.SentStudy(study_instance_uid="1.1", patient=PATIENTS["1.1"], films=[film("1.1.1")])
    films = [film("1.2.1", "AP"), film("1.2.2")]
    later = load.SentStudy(study_instance_uid="1.2", patient=PATIENTS["1.2"], films=films)
    drafts = [draft("1.1", 1, "1.1.1"), draft("1.2", 1, "1.2.1"), draft("1.2", 2, "1.2.2")]
    page = pacs.Stored(
        study_instance_uid="1.1", sop_instance_uid="1.1.8", patient=PATIENTS["1.1"], sha256=""
    )
    return [first, later], [*drafts, page]


@pytest.fixture
def judged(torment, site_of_two):
    """What tells what the account of the faults finds broken."""
    return lambda stored: list(torment("account").misjudged(site_of_two[0], stored))


def test_the_account_has_nothing_against_what_is_as_it_should_be(judged, site_of_two):
    """One draft for each revision, under its patient, the last about the film to be read."""
    assert judged(site_of_two[1]) == []


@pytest.mark.parametrize(
    ("which", "harm", "words"),
    [
        (0, {"patient": ("B",)}, "under another patient"),
        (3, {"patient": ("B",)}, "under another patient"),
        (0, {"film": "1.2.2"}, "about a film of another study"),
        (0, {"study_instance_uid": "1.3"}, "of a study that nobody sent"),
        (1, {"findings": ("There is an effusion.",), "film": "1.2.2"}, "2 different texts"),
        (1, {"revision": 2}, "2 drafts of revision 2"),
        (2, {"film": "1.2.1"}, "not about the film to be read"),
    ],
)
def test_the_account_names_each_thing_that_is_wrong(judged, site_of_two, which, harm, words):
    """An object of another patient, study, film, text or revision does not pass."""
    stored = list(site_of_two[1])
    stored[which] = dataclasses.replace(stored[which], **harm)
    assert any(words in each for each in judged(stored))


def test_the_account_misses_a_draft_that_is_not_there(judged, site_of_two):
    """An acknowledged study without a draft in the PACS is a broken promise."""
    assert judged(site_of_two[1][1:]) == ["study 1.1: acknowledged, and no draft in the PACS"]
