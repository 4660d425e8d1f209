"""The last check before a result leaves: its identifiers are those of an image."""

import pytest

from dicom.errors import InvalidDataset
from dicom.phantom import as_dataset, draw, write
from dicom.results.outputs import as_file
from dicom.results.result_file import Output, encode
from dicom.validation.result_object import ValidationFailed
from dicom.validation.same_patient import check_result, check_source


@pytest.fixture
def image(tmp_path):
    """A function that writes an image with changed attributes."""

    def make(name="image.dcm", **attributes):
        dataset = as_dataset(draw(1, rows=64, columns=64))
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        return write(dataset, tmp_path / name)

    return make


def result(**attributes):
    """Return an encoded result of the image with changed attributes."""
    dataset = as_dataset(draw(1, rows=64, columns=64))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return encode(Output(kind="overlay", dataset=as_file(dataset)))


def test_a_result_of_the_image_passes(image):
    """With the image among several, too."""
    check_result(result(), [image()])
    check_result(result(), [image("other.dcm", PatientID="OTHER"), image()])
    check_source(image())


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"PatientID": "OTHER"}, "Patient ID"),
        ({"StudyInstanceUID": "1.2.3"}, "StudyInstanceUID"),
        ({"AccessionNumber": "OTHER"}, "Accession Number"),
        ({"IssuerOfPatientID": "OTHER"}, "Issuer of Patient ID"),
    ],
)
def test_another_patient_or_order_does_not(image, attributes, named):
    """The message names the attribute."""
    with pytest.raises(ValidationFailed, match=named):
        check_result(result(**attributes), [image()])


def test_without_an_image_nothing_passes():
    """There is nothing to compare with."""
    with pytest.raises(ValidationFailed, match="no source image"):
        check_result(result(), [])


def test_an_id_without_an_exact_copy_has_no_results(image):
    """A line break in it."""
    with pytest.raises(InvalidDataset):
        check_source(image(PatientID="1\r\n2"))
