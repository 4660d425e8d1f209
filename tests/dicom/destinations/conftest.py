"""Objects to send, and each kind of destination."""

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from dicom.destinations.destination import EncodedObject
from tests.dicom.destinations.sending import (
    capture_object,
    dimse_destination,
    encoded,
    folder_destination,
    report_object,
    rest_destination,
    stow_destination,
)


@pytest.fixture
def objects(tmp_path) -> list[EncodedObject]:
    """A report and a picture of one new study."""
    study = generate_uid()
    return [
        encoded(tmp_path / "report.dcm", report_object(study, "The heart is not enlarged.")),
        encoded(tmp_path / "capture.dcm", capture_object(study)),
    ]


@pytest.fixture
def other_bytes(objects, tmp_path) -> list[EncodedObject]:
    """The same instances by their UIDs, the report with another text."""
    report = dcmread(objects[0].path)
    report.TextValue = "The heart is enlarged."
    return [encoded(tmp_path / "other.dcm", report), objects[1]]


@pytest.fixture(params=["rest", "dimse", "stow", "folder"])
def destination(request, orthanc, tmp_path):
    """Each kind of destination, the first three a real Orthanc."""
    return {
        "rest": lambda: rest_destination(orthanc),
        "dimse": lambda: dimse_destination(orthanc.dicom_port),
        "stow": lambda: stow_destination(orthanc),
        "folder": lambda: folder_destination(tmp_path / "out"),
    }[request.param]()
