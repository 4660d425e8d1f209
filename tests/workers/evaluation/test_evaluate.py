"""`wetread evaluate` from its command line to its folder, with the shipped model and phantoms."""

import csv
import json
import shutil
import stat

import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score

from service.evaluation.labels import SIX
from workers.commands.evaluate import evaluate

FILES = {"manifest.json", "drafts.jsonl", "per_study.csv", "metrics.json", "subgroups.csv"}


def call(*words, code=0):
    """Run the command; return what it printed."""
    result = CliRunner().invoke(evaluate, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module", autouse=True)
def at_site(tmp_path_factory):
    """A folder of a site with the default settings, as the current one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("site"))
        yield


@pytest.fixture(scope="module")
def done(phantoms, tmp_path_factory):
    """The folder of a finished evaluation; read-only."""
    out = tmp_path_factory.mktemp("done") / "out"
    call(phantoms / "films", "--truth", phantoms / "labels.csv", "--out", out)
    return out


def rows_in(path):
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_folder_has_everything_and_only_its_owner_may_enter(done):
    """DIR holds report text."""
    assert FILES | {"report.html"} <= {path.name for path in done.iterdir()}
    assert stat.S_IMODE(done.stat().st_mode) == 0o700


def test_the_figures_are_those_of_scikit_learn_on_per_study(done):
    """What metrics.json says follows from per_study.csv."""
    rows = rows_in(done / "per_study.csv")
    metrics = json.loads((done / "metrics.json").read_text())
    assert len(rows) == 12
    assert metrics["complete"] is True
    for name in SIX:
        truth = [int(row[f"truth {name}"]) for row in rows]
        said = [int(row.get(f"said {name}") == "1") for row in rows]
        value = metrics["figures"]["findings"][name]["f1"]["value"]
        if isinstance(value, float) and any(truth) | any(said):
            assert value == pytest.approx(f1_score(truth, said, zero_division=0), abs=1e-6)


def test_studies_of_one_patient_are_one_cluster_and_the_patient_is_not_named(done, phantoms):
    """Two films a patient; the identifier of the table stands nowhere."""
    assert len({row["patient"] for row in rows_in(done / "per_study.csv")}) == 6
    identifier = rows_in(phantoms / "labels.csv")[0]["patient"]
    for name in ("per_study.csv", "metrics.json", "report.html", "drafts.jsonl"):
        assert f'"{identifier}"' not in (done / name).read_text()


def test_a_second_call_reads_nothing_and_writes_the_same_metrics(done, phantoms, tmp_path):
    """Finished studies are skipped; the model is not even loaded."""
    out = shutil.copytree(done, tmp_path / "out")
    before = (out / "metrics.json").read_bytes()
    said = call(phantoms / "films", "--truth", phantoms / "labels.csv", "--out", out)
    assert "loading" not in said
    assert (out / "metrics.json").read_bytes() == before


def test_everything_says_that_drafts_are_unverified(done):
    """The page, each row of drafts and the manifest."""
    assert "unverified" in (done / "report.html").read_text()
    assert "unverified" in json.loads((done / "manifest.json").read_text())["caution"]
    lines = (done / "drafts.jsonl").read_text().splitlines()
    assert all("unverified AI draft" in json.loads(line)["caution"] for line in lines)


def test_other_settings_or_studies_need_another_folder(done, phantoms, tmp_path, monkeypatch):
    """Drafts of two models are not mixed."""
    out = shutil.copytree(done, tmp_path / "out")
    monkeypatch.setenv("WETREAD_READING__TEMPERATURE", "0.5")
    said = call(phantoms / "films", "--truth", phantoms / "labels.csv", "--out", out, code=2)
    assert "another model or other reading settings" in said


def test_no_text_is_kept_where_none_is_wanted(phantoms, tmp_path):
    """Labels only: no sentence of a draft, no picture."""
    out = tmp_path / "out"
    call(phantoms / "films", "--truth", phantoms / "labels.csv", "--out", out, "--no-text")
    rows = [json.loads(line) for line in (out / "drafts.jsonl").read_text().splitlines()]
    assert all(row["draft"]["findings_text"] == [] for row in rows)
    assert all(row["labels"] for row in rows)
    assert "There is no" not in (out / "drafts.jsonl").read_text()
    assert not (out / "images").exists()
