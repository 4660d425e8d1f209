"""`wetread evaluate` from its command line to its folder, with the shipped model and phantoms."""

import base64
import csv
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import f1_score

from dicom.selection.local_files import describe
from service.evaluation.labels import SIX
from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database
from workers.commands.evaluate import evaluate

FILES = {"manifest.json", "drafts.jsonl", "per_study.csv", "metrics.json", "subgroups.csv"}


def call(*arguments, code=0):
    """Run the command; return its output."""
    result = CliRunner().invoke(evaluate, [str(word) for word in arguments])
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
    call(phantoms / "images", "--truth", phantoms / "labels.csv", "--out", out)
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
    """The figures of metrics.json follow from per_study.csv."""
    rows = rows_in(done / "per_study.csv")
    metrics = json.loads((done / "metrics.json").read_text())
    assert len(rows) == 12
    assert metrics["complete"] is True
    for name in SIX:
        truth = [int(row[f"truth {name}"]) for row in rows]
        predicted = [int(row.get(f"said {name}") == "1") for row in rows]
        value = metrics["figures"]["findings"][name]["f1"]["value"]
        if isinstance(value, float) and any(truth) | any(predicted):
            assert value == pytest.approx(f1_score(truth, predicted, zero_division=0), abs=1e-6)


def test_the_closest_images_have_the_same_findings_more_often_than_by_chance(done):
    """Computed again from the vectors in drafts.jsonl; without a text tower the report states it."""
    drafts = map(json.loads, (done / "drafts.jsonl").read_text().splitlines())
    vectors = {
        row["id"]: np.frombuffer(base64.b64decode(row["vector"]["float32"]), "<f4")
        for row in drafts
    }
    rows = sorted(rows_in(done / "per_study.csv"), key=lambda row: row["id"])
    labels = [{name for name in SIX if row[f"truth {name}"] == "1"} for row in rows]
    images = np.stack([vectors[row["id"]] for row in rows]).astype(float)
    cosines = images @ images.T - 9 * np.eye(len(rows))
    same = [labels[row.argmax()] == own for row, own in zip(cosines, labels, strict=True)]
    found = json.loads((done / "metrics.json").read_text())["retrieval"]
    assert found["neighbors"]["label_precision"]["1"] == pytest.approx(np.mean(same), abs=1e-6)
    assert "no text tower" in found["cross_modal"]
    assert "no text tower" in (done / "report.html").read_text()


def test_studies_of_one_patient_are_one_cluster_and_the_patient_is_not_named(done, phantoms):
    """Two images a patient; the identifier of the table is nowhere."""
    assert len({row["patient"] for row in rows_in(done / "per_study.csv")}) == 6
    identifier = rows_in(phantoms / "labels.csv")[0]["patient"]
    for name in ("per_study.csv", "metrics.json", "report.html", "drafts.jsonl"):
        assert f'"{identifier}"' not in (done / name).read_text()


def test_a_second_call_reads_nothing_and_writes_the_same_metrics(done, phantoms, tmp_path):
    """Finished studies are skipped; the model is not even loaded."""
    out = shutil.copytree(done, tmp_path / "out")
    before = (out / "metrics.json").read_bytes()
    output = call(phantoms / "images", "--truth", phantoms / "labels.csv", "--out", out)
    assert "loading" not in output
    assert (out / "metrics.json").read_bytes() == before


def test_everything_states_that_drafts_are_unverified(done):
    """The page, each row of drafts and the manifest."""
    assert "unverified" in (done / "report.html").read_text()
    assert "unverified" in json.loads((done / "manifest.json").read_text())["caution"]
    lines = (done / "drafts.jsonl").read_text().splitlines()
    assert all("unverified AI draft" in json.loads(line)["caution"] for line in lines)


def test_other_settings_or_studies_need_another_folder(done, phantoms, tmp_path, monkeypatch):
    """Drafts of two models are not mixed."""
    out = shutil.copytree(done, tmp_path / "out")
    monkeypatch.setenv("WETREAD_READING__TEMPERATURE", "0.5")
    output = call(phantoms / "images", "--truth", phantoms / "labels.csv", "--out", out, code=2)
    assert "another model or other reading settings" in output


def test_no_text_is_kept_where_none_is_configured(phantoms, tmp_path):
    """Labels only: no sentence of a draft, no picture."""
    out = tmp_path / "out"
    call(phantoms / "images", "--truth", phantoms / "labels.csv", "--out", out, "--no-text")
    rows = [json.loads(line) for line in (out / "drafts.jsonl").read_text().splitlines()]
    assert all(row["draft"]["findings_text"] == [] for row in rows)
    assert all(row["labels"] for row in rows)
    assert "There is no" not in (out / "drafts.jsonl").read_text()
    assert not (out / "images").exists()


def test_a_model_whose_sentences_are_turned_around_is_found(done, phantoms, tmp_path):
    """The comparison names the finding; two sites are another table."""
    other = shutil.copytree(done, tmp_path / "other")
    rows = rows_in(other / "per_study.csv")
    for row in rows:
        row["said edema"] = "0" if row.get("said edema") == "1" else "1"
    with (other / "per_study.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    out = shutil.copytree(done, tmp_path / "out")
    arguments = (phantoms / "images", "--truth", phantoms / "labels.csv", "--out", out)
    call(*arguments, "--compare", other)
    (found,) = json.loads((out / "metrics.json").read_text())["comparisons"]
    assert found["better"] == ["edema"]
    assert "Better here: edema" in (out / "report.html").read_text()


def test_faults_of_studies_truth_and_comparison_are_listed_together(phantoms, tmp_path):
    """Exit 2, nothing is read, no folder is made."""
    (tmp_path / "labels.csv").write_text("id,Edema\na,5\n")
    out = tmp_path / "out"
    output = call(
        tmp_path / "nothing", "--truth", tmp_path / "labels.csv", "--truth", tmp_path / "none",
        "--out", out, "--compare", tmp_path, code=2,
    )  # fmt: skip
    for fault in ("nothing: there is no such", "must be 1, 0", "none: there is no", "no finished"):
        assert fault in output
    assert "nothing was read" in output
    assert not out.exists()
    output = call("--truth", tmp_path / "labels.csv", "--out", out, code=2)
    assert "give STUDIES, or --from-service with --since DATE" in output
    del phantoms


def test_a_folder_with_other_files_is_not_written_to(phantoms, tmp_path):
    """A typing error in --out must not scatter report texts among a site's files."""
    (tmp_path / "thesis.docx").write_text("")
    arguments = (phantoms / "images", "--truth", phantoms / "labels.csv", "--out", tmp_path)
    assert "holds other files (thesis.docx)" in call(*arguments, code=2)


def test_reports_as_truth_give_labels_texts_and_pairs(phantoms, tmp_path):
    """A report a study: labels by the labeler, words in common, files for other metrics."""
    reports = tmp_path / "reports"
    reports.mkdir()
    for path in sorted((phantoms / "images").iterdir())[:6]:
        text = "Findings: There is a left pneumothorax. Impression: Pneumothorax."
        (reports / f"{path.stem}.txt").write_text(text)
    out = tmp_path / "out"
    call(phantoms / "images", "--truth", reports, "--out", out, "--export-pairs")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["figures"]["studies"] == 6
    assert metrics["flow"][-1]["left"] == [["no truth", 6]]
    assert metrics["figures"]["findings"]["pneumothorax"]["rates"]["prevalence"]["value"] == 1
    assert 0 < metrics["texts"]["findings"]["drafts"]["rouge_l"]["value"] < 1
    references = sorted((out / "pairs" / "ref").iterdir())
    assert [path.read_text() for path in references] == ["There is a left pneumothorax.\n"] * 6
    assert len(list((out / "pairs" / "cand").iterdir())) == 6


def test_real_images_run_and_are_too_few_for_a_claim(shared_data, tmp_path, monkeypatch):
    """Pictures with text-mined labels; the report states that the demo model's text is meaningless."""
    monkeypatch.setenv("WETREAD_READING__DEMO_READS_PATIENTS", "true")
    source = shared_data / "labelled" / "labels.csv"
    lines = source.read_text(encoding="utf-8").splitlines()
    chosen = tmp_path / "labels.csv"
    chosen.write_text("\n".join(lines[:13]) + "\n", encoding="utf-8")
    (tmp_path / "images").symlink_to(source.parent / "images")
    out = tmp_path / "out"
    call(chosen, "--truth", chosen, "--out", out)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (
        metrics["figures"]["studies"]
        + sum(count for step in metrics["flow"] for _, count in step["left"])
        == 12
    )
    page = (out / "report.html").read_text()
    assert "too small for a claim" in page
    assert "never on images of patients" in page


def test_failures_and_refusals_are_rows_with_their_reasons(phantoms, tmp_path):
    """A broken picture fails (exit 1), a patient's image is refused, a broken file is unreadable."""
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted((phantoms / "images").iterdir())[:3]:
        shutil.copy(path, folder)
    (folder / "broken.png").write_bytes(b"\x89PNG no more")
    (folder / "broken.dcm").write_bytes(b"DICM no more")
    Image.fromarray(np.full((200, 200), 90, np.uint8)).save(folder / "person.png")
    (tmp_path / "labels.csv").write_text(
        (phantoms / "labels.csv").read_text() + "".join(f"{n},p\n" for n in ("broken", "person"))
    )
    out = tmp_path / "out"
    call(folder, "--truth", tmp_path / "labels.csv", "--out", out, code=1)
    outcomes = {
        row["id"]: (row["outcome"], row["reason"]) for row in rows_in(out / "per_study.csv")
    }
    assert outcomes["broken"] == ("failed", "INVALID_DATASET")
    assert outcomes["broken.dcm"] == ("unreadable", "UNREADABLE")
    assert outcomes["person"][0] == "refused"
    steps = json.loads((out / "metrics.json").read_text())["flow"]
    assert [step["remaining"] for step in steps] == [6, 5, 4, 3, 3]
    exclusions = json.loads((out / "manifest.json").read_text())["exclusions"]
    assert {each["id"] for each in exclusions} == {"broken", "person"}


def test_studies_of_the_service_are_evaluated_from_its_spool(phantoms, tmp_path, monkeypatch):
    """--from-service: the database and spool of the settings; calling AEs are subgroups."""
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path / "data"))
    settings = load_settings()
    (tmp_path / "data").mkdir()
    make_database(settings.database_url)
    store = Store.open(settings)
    for number, path in enumerate(sorted((phantoms / "images").iterdir())[:4]):
        image = describe(Path(shutil.copy(path, tmp_path)))
        calling_ae = f"ROOM_{number % 2}"
        store.add_instance(image, calling_ae=calling_ae, association_id="A", eligible=True)
        store.schedule(image.study_instance_uid, model="demo", version="1", actor="t", reason="R.")
    store.close()
    out = tmp_path / "out"
    uids = [describe(path).study_instance_uid for path in sorted((phantoms / "images").iterdir())]
    table = tmp_path / "labels.csv"
    lines = (phantoms / "labels.csv").read_text().splitlines()
    named = [f"{uid},{line}" for uid, line in zip(uids, lines[1:], strict=True)]
    table.write_text("\n".join([f"id,{lines[0]}", *named]))
    truth = ("--truth", table, "--out", out)
    call("--from-service", "--since", "2020-01-01", *truth)
    rows = rows_in(out / "per_study.csv")
    assert [row["outcome"] for row in rows] == ["scored"] * 4
    assert {row["calling AE"] for row in rows} == {"ROOM_0", "ROOM_1"}
    before = (out / "metrics.json").read_bytes()
    call("--from-service", "--since", "2020-01-01", *truth)
    assert (out / "metrics.json").read_bytes() == before


def test_a_changed_text_is_labeled_anew_and_scores_follow(done, phantoms, tmp_path):
    """Labels follow from the kept text: a folder of an earlier labeler is brought up to date."""
    out = shutil.copytree(done, tmp_path / "out")
    path = out / "drafts.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["draft"]["findings_text"] = ["There is a left pneumothorax."]
        row["draft"]["impression_text"] = []
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    call(phantoms / "images", "--truth", phantoms / "labels.csv", "--out", out)
    assert {row["said pneumothorax"] for row in rows_in(out / "per_study.csv")} == {"1"}
    found = json.loads((out / "metrics.json").read_text())["figures"]["findings"]
    assert found["pneumothorax"]["rates"]["sensitivity"]["value"] == 1
    assert found["edema"]["rates"]["sensitivity"]["value"] == 0
