"""`wetread validate`: validation on the command line, for our objects and for others'."""

import json

import pytest
from click.testing import CliRunner
from pydicom import dcmread, dcmwrite

from service.commands.validate import validate


@pytest.fixture
def examples(shared_data):
    """The folder of reference objects."""
    return shared_data.parent / "reference" / "dicom-examples"


def test_valid_objects_pass_with_status_0(examples):
    """A valid draft report passes, and the line states it."""
    result = CliRunner().invoke(validate, [str(examples / "02_draft_report_rev1.dcm")])
    assert result.exit_code == 0
    assert result.output.endswith("passes\n")


def test_faults_are_named_with_status_1(examples):
    """The object that crashes OHIF is named with its reason; JSON states the same."""
    path = str(examples / "y3_findings_noroi.dcm")
    result = CliRunner().invoke(validate, [path])
    assert result.exit_code == 1
    assert "crashes OHIF" in result.output
    found = json.loads(CliRunner().invoke(validate, ["--json", path]).output)
    assert found["passes"] is False
    assert [fault["rule"] for fault in found["faults"]] == ["viewer"]


def test_the_image_is_compared_when_given(examples, tmp_path):
    """With --source the patient must be that of the image."""
    report = dcmread(examples / "02_draft_report_rev1.dcm")
    report.PatientID = "SOMEBODY-ELSE"
    image = tmp_path / "image.dcm"
    dcmwrite(image, report)
    arguments = ["--source", str(image), str(examples / "02_draft_report_rev1.dcm")]
    result = CliRunner().invoke(validate, arguments)
    assert result.exit_code == 1
    assert "Patient ID (0010,0020) is not that of the image" in result.output


def test_files_that_are_no_dicom_are_reported_as_unreadable(tmp_path):
    """Any file may be given; the result is a reason, not a traceback."""
    path = tmp_path / "file.txt"
    path.write_bytes(b"no DICOM at all" * 50)
    result = CliRunner().invoke(validate, [str(path)])
    assert result.exit_code == 1
    assert "unreadable" in result.output


def test_malformed_files_are_answered(shared_data):
    """Each of the odd files of other projects gets a result or a reason."""
    for path in sorted((shared_data / "edge-cases").glob("*/*.dcm")):
        result = CliRunner().invoke(validate, [str(path)])
        assert result.exit_code in (0, 1), path.name
        assert result.exception is None or isinstance(result.exception, SystemExit), path.name
