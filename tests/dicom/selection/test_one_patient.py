"""Whether the images of a study belong to one patient."""

import pytest

from dicom.selection.one_patient import are_one_patient
from tests.dicom.selection.headers import tags

PATIENT = {"PatientID": "P1", "PatientName": "DOE^JANE", "PatientBirthDate": "19600101"}


@pytest.mark.parametrize(
    ("other", "one"),
    [
        ({}, True),
        ({"PatientID": "P2"}, False),
        ({"PatientID": "P2", "PatientName": "DOE^JANE"}, False),
        ({"PatientName": "Doe^Jane^M"}, True),
        ({"PatientID": ""}, True),
        ({"PatientID": "", "PatientName": "ROE^RICHARD"}, False),
        ({"PatientID": "", "PatientBirthDate": "19600102"}, False),
        ({"PatientID": "", "PatientName": "", "PatientBirthDate": ""}, True),
        ({"IssuerOfPatientID": "B"}, False),
    ],
)
def test_images_are_of_one_patient_unless_they_state_otherwise(other, one):
    """Patient ID and issuer decide; without an ID name and birth date do."""
    first = tags(**PATIENT, IssuerOfPatientID="A")
    second = tags(**{**PATIENT, **other})
    assert are_one_patient([first, second]) is one
