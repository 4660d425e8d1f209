"""Studies and truth as sites have them; all faults of both are listed at once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.assessment.study_rows import Attribute
from service.assessment.texts import Part
from service.evaluation.labels import Label
from workers.evaluation.studies import studies_at
from workers.evaluation.truth import matched, truths_at


def found(path):
    """Return the truths of a file without faults."""
    faults = []
    truths = truths_at(path, faults)
    assert faults == []
    return truths


def faults_of(path):
    """Return the faults of a truth."""
    faults = []
    truths_at(path, faults)
    return faults


def text_file(folder, name, text):
    """Return a file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path, delimiter, mark):
    """Any of three delimiters, a byte order mark, CRLF, 1.0 for 1, names in any case."""
    lines = ["ID,Edema,Pleural_Effusion,Sex,AGE", "a,1.0,-1,female,058Y", "b,,0,,"]
    text = mark + "\r\n".join(line.replace(",", delimiter) for line in lines)
    first, second = found(text_file(tmp_path, "labels.csv", text))
    assert first.labels == {"edema": Label.POSITIVE, "pleural effusion": Label.UNCERTAIN}
    assert (first.attributes[Attribute.SEX], first.years) == ("F", 58)
    assert second.labels == {"pleural effusion": Label.NEGATIVE}


def test_effusion_is_pleural_effusion_and_other_columns_are_passed_over(tmp_path):
    """As in the NIH's tables; a licence or a source is no finding."""
    path = text_file(tmp_path, "l.csv", "file,Effusion,licence\nx/a.png,1,CC0\n")
    (truth,) = found(path)
    assert truth.labels == {"pleural effusion": Label.POSITIVE}
    assert truth.names == ("x/a.png", "a.png", "a")


def test_all_faults_of_a_table_are_listed(tmp_path):
    """Each with its line, none hides another."""
    text = (
        "id,Edema,Effusion,Pleural Effusion,age,sex,score edema,side edema,box edema\n"
        "a,2,0,0,200,x,1.5,middle,1 2 3\n"
        ",yes,0,0,,,,,\n"
        "b,1,0,0,,,,,,,extra\n"
    )
    listed = "\n".join(faults_of(text_file(tmp_path, "labels.csv", text)))
    for fault in (
        "'effusion' and 'pleural effusion' are the same finding",
        "line 2: edema must be 1, 0, -1 or blank, not '2'",
        "line 2: age must be in years",
        "line 2: sex must be M, F or O",
        "line 2: score edema must be 0 to 1",
        "line 2: side edema must be left, right, bilateral",
        "line 2: box edema must be left top width height",
        "line 3: edema must be 1, 0, -1 or blank, not 'yes'",
        "line 3: id and file are empty",
        "line 4: 11 cells, but the table has 9 columns",
    ):
        assert fault in listed


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", b"", "the table is empty"),
        ("a.csv", b"id,Edema\n", "a header and no row"),
        ("a.csv", b"id,licence\na,1\n", "no column is a finding"),
        ("a.csv", b"Edema\n1\n", "needs a column id or file"),
        ("a.csv", b"id,Edema,Edema\na,1,1\n", "occurs twice"),
        ("a.csv", "id,Edema\nJosé,1\n".encode("latin-1"), "not UTF-8"),
        ("a.csv", b'id,Edema\n"a,1\n', "line 2"),
        ("a.xlsx", b"PK", "truth is a CSV"),
        ("a.jsonl", b'{"id": "a"\n[1]\n', "line 2: must be a JSON object"),
        ("a.xml", b"<eCitation>", "no XML"),
        ("a.xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "declares entities"),
    ],
)
def test_a_file_that_cannot_be_used_states_why(tmp_path, name, content, expected):
    """The message names the file and the fault."""
    path = tmp_path / name
    path.write_bytes(content)
    listed = "\n".join(faults_of(path))
    assert expected in listed
    assert str(path) in listed


def test_reports_of_a_folder_are_labeled(tmp_path):
    """ID.txt with headings; the indication is no finding."""
    text = (
        "Indication: pneumothorax?\nFindings: Small left pleural effusion.\nImpression: Effusion."
    )
    text_file(tmp_path, "case 1.txt", text)
    (truth,) = found(tmp_path)
    assert truth.names == ("case 1",)
    assert truth.labels["pleural effusion"] is Label.POSITIVE
    assert "pneumothorax" not in truth.labels
    assert truth.text.parts[Part.FINDINGS] == "Small left pleural effusion."
    assert truth.text.parts[Part.REPORT] == "Small left pleural effusion. Effusion."


def test_an_open_i_report_is_known_by_its_id_and_its_images(tmp_path):
    """The image files of Open-i are named by the ids of its images."""
    text_file(
        tmp_path,
        "1.xml",
        """<?xml version="1.0"?><eCitation><uId id="CXR1"/><Abstract>
        <AbstractText Label="COMPARISON">None.</AbstractText>
        <AbstractText Label="FINDINGS">No effusion.</AbstractText>
        <AbstractText Label="IMPRESSION">Cardiomegaly.</AbstractText></Abstract>
        <parentImage id="CXR1_1_IM-0001"/></eCitation>""",
    )
    (truth,) = found(tmp_path)
    assert truth.names == ("CXR1", "CXR1_1_IM-0001", "1")
    assert truth.labels["cardiomegaly"] is Label.POSITIVE
    assert truth.labels["pleural effusion"] is Label.NEGATIVE


def test_texts_come_as_csv_and_as_json_lines(tmp_path):
    """Both forms give the same labels."""
    table = text_file(tmp_path, "r.csv", 'id,findings,impression\na,"Edema, no effusion.",Edema\n')
    lines = text_file(
        tmp_path, "r.jsonl", json.dumps({"id": "a", "report": "Findings: Edema, no effusion."})
    )
    assert found(table)[0].labels == found(lines)[0].labels
    labels = {"id": "a", "labels": {"Edema": 1, "Fracture": None}, "impression": "Normal."}
    (both,) = found(text_file(tmp_path, "b.jsonl", json.dumps(labels)))
    assert both.labels == {"edema": Label.POSITIVE}
    assert both.text.parts[Part.REPORT] == "Normal."


def test_studies_are_found_by_uid_accession_and_file(phantoms, tmp_path):
    """Every name under which a site may identify a study leads to it."""
    faults = []
    received = studies_at(phantoms / "images", faults)
    assert faults == []
    assert len(received.cases) == 12
    case = received.cases[0]
    file = next(key for key in case.keys if key.endswith(".dcm"))
    accession = next(key for key in case.keys if key.startswith("PH"))
    for name in (case.id, file, Path(file).stem, accession):
        table = text_file(tmp_path, "l.csv", f"id,Edema\n{name},1\n")
        assert list(matched(found(table), received.cases, []).of) == [case.id]


def test_truths_that_fit_nothing_or_twice_are_faults(phantoms, tmp_path):
    """The first shows both names, so that the difference is seen."""
    cases = studies_at(phantoms / "images", []).cases
    faults = []
    matched(found(text_file(tmp_path, "l.csv", "id,Edema\nnobody,1\n")), cases, faults)
    assert "no truth fits a study" in faults[0]
    twice, faults = f"id,Edema\n{cases[0].id},1\n{cases[0].id},0\n", []
    matched(found(text_file(tmp_path, "l.csv", twice)), cases, faults)
    assert "line 3: the same study as" in faults[0]


def test_labels_and_report_of_a_study_complete_each_other(phantoms, tmp_path):
    """The labels of the table count, the text is what drafts are compared with."""
    cases = studies_at(phantoms / "images", []).cases
    table = text_file(tmp_path, "l.csv", f"id,Edema\n{cases[0].id},1\n")
    text_file(tmp_path, f"{cases[0].id}.txt", "No edema.")
    truths = [*found(table), *found(tmp_path / f"{cases[0].id}.txt")]
    for order in (truths, truths[::-1]):
        faults = []
        truth = matched(order, cases, faults).of[cases[0].id]
        assert faults == []
        assert truth.labels == {"edema": Label.POSITIVE}
        assert truth.text.parts[Part.REPORT] == "No edema."


def test_a_folder_may_hold_more_than_studies(phantoms, tmp_path):
    """A broken file is counted as unreadable, a table beside the studies is passed over."""
    folder = tmp_path / "images"
    shutil.copytree(phantoms / "images", folder)
    (folder / "broken.dcm").write_bytes(b"no DICOM")
    (folder / "labels.csv").write_text("id\n")
    first = next(iter(sorted(folder.glob("9*.dcm"))))
    shutil.copy(first, folder / "copy.dcm")
    Image.fromarray(np.zeros((90, 80), np.uint8)).save(folder / "picture.png")
    received = studies_at(folder, [])
    assert len(received.cases) == 13
    assert [each.id for each in received.unreadable] == ["broken.dcm"]
    assert received.passed_over == 1
    assert "copy" in next(case.keys for case in received.cases if str(first.name) in case.keys)


def test_a_list_of_studies_names_its_faults(phantoms, tmp_path):
    """A missing file, a repeated one, an empty cell."""
    (tmp_path / "images").symlink_to(phantoms / "images")
    name = sorted((phantoms / "images").iterdir())[0].name
    rows = [f"images/{name},a,M", f"images/{name},b,M", "images/none.dcm,c,M", ",d,M", "x.png,e,Q"]
    path = text_file(tmp_path, "studies.csv", "file,id,sex\n" + "\n".join(rows) + "\n")
    faults = []
    received = studies_at(path, faults)
    assert len(received.cases) == 1
    assert "a" in received.cases[0].keys
    listed = "\n".join(faults)
    for fault in (
        "line 3: images/",
        "line 4: there is no file",
        "line 5: file is empty",
        "line 6: sex must be M, F or O",
    ):
        assert fault in listed


def test_two_pictures_of_one_id_are_a_fault(tmp_path):
    """Their drafts could not be distinguished."""
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((90, 80), np.uint8)).save(tmp_path / name)
    path = text_file(tmp_path, "studies.csv", "file,id\na.png,x\nb.png,x\n")
    faults = []
    studies_at(path, faults)
    assert faults == [f"{path} line 3: the id is that of {path} line 2"]


def test_a_row_with_id_and_file_is_found_by_either(phantoms, tmp_path):
    """An id that only the site uses does not hide the file's name."""
    cases = studies_at(phantoms / "images", []).cases
    file = next(key for key in cases[0].keys if key.endswith(".dcm"))
    table = text_file(tmp_path, "l.csv", f"id,file,Edema\nour-1,images/{file},1\n")
    assert list(matched(found(table), cases, []).of) == [cases[0].id]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_picture_takes_the_reading_path_of_an_image(phantoms, tmp_path, depth):
    """Its pixels arrive unchanged: 8 or 16 bits, no window."""
    from dicom.pixels.frame import PixelLimits, load_frame  # noqa: PLC0415
    from workers.evaluation.pictures import wrapped  # noqa: PLC0415

    del phantoms
    kind = np.uint8 if depth == 8 else np.uint16
    pixels = np.random.default_rng(1).integers(0, 2**depth, (96, 81)).astype(kind)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (case,) = studies_at(tmp_path, []).cases
    study = wrapped(case, tmp_path / "work", max_pixels=2**20)
    frame = load_frame(study.instances[0].path, PixelLimits(max_pixels=2**20, max_bytes=2**24))
    assert frame.pixels == pytest.approx(pixels / (2**depth - 1), abs=1e-3)
