"""Results are written whole, checked, and named by their digest."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from dicom.errors import InvalidOutput
from dicom.phantom import as_dataset, draw, write
from dicom.results.outputs import as_file
from dicom.results.result_file import Output
from dicom.validation.result_object import ValidationFailed
from service.settings.config import load_settings
from workers.outbox import remove_unfinished, wants_sidecar, write_outputs, write_sidecar


def output(kind="overlay", **attributes):
    """Return a result of the phantom with changed attributes."""
    dataset = as_dataset(draw(1, rows=64, columns=64))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return Output(kind=kind, dataset=as_file(dataset))


@pytest.fixture
def image(tmp_path):
    """The file of the phantom."""
    return write(as_dataset(draw(1, rows=64, columns=64)), tmp_path / "image.dcm")


def test_records_name_the_files_that_were_written(tmp_path, image):
    """One for each object; nothing unfinished is left; a second call replaces them."""
    folder = tmp_path / "outbox" / "job" / "1"
    for _ in range(2):
        made = write_outputs(folder, (output(), output("report-page")), [image])
    assert [each.kind for each in made] == ["overlay", "report-page"]
    for each in made:
        assert hashlib.sha256(each.path.read_bytes()).hexdigest() == each.sha256
    assert sorted(path.name for path in folder.iterdir()) == ["overlay.dcm", "report-page.dcm"]


def test_what_must_not_leave_is_not_written(tmp_path, image):
    """Another patient's result, and one that claims to be verified."""
    with pytest.raises(ValidationFailed):
        write_outputs(tmp_path / "a", (output(PatientID="OTHER"),), [image])
    with pytest.raises(InvalidOutput):
        write_outputs(tmp_path / "b", (output(VerificationFlag="VERIFIED"),), [image])
    assert not list(tmp_path.rglob("overlay*"))


def test_unfinished_files_of_a_job_are_removed(tmp_path):
    """In all of its claims; finished ones stay."""
    for name in ("1/a.partial", "2/b.partial", "2/b.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b.dcm"]


def test_the_sidecar_is_asked_for_by_the_site_or_a_folder(tmp_path):
    """It is the draft as JSON."""
    folder = {"kind": "folder", "name": "A", "path": str(tmp_path / "a")}
    for outputs, destination, wanted in (
        ({}, folder, False),
        ({"json_sidecar": True}, folder, True),
        ({}, folder | {"json_sidecar": True}, True),
    ):
        settings = load_settings(data_dir=tmp_path, outputs=outputs, destinations=[destination])
        assert wants_sidecar(settings) is wanted


def test_the_sidecar_is_written_whole(tmp_path, drafts):
    """Beside the objects."""
    image = drafts.image("1.2")
    draft = drafts.draft(image, datetime(2026, 3, 1, tzinfo=UTC))
    path = write_sidecar(tmp_path, draft, ())
    assert json.loads(path.read_text())["draft"]["study_instance_uid"] == "1.2"
    assert [each.name for each in tmp_path.iterdir()] == ["draft.json"]
