"""A phantom as a DX image: valid, the same bytes each time, and recognized as synthetic."""

import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom.phantom import (
    Demographics,
    as_dataset,
    draw,
    draw_lateral,
    is_phantom,
    write,
)

FRONTAL = draw(17, rows=96, columns=80)
LATERAL = draw_lateral(17, rows=80, columns=96, bits_stored=8)


def as_bytes(dataset: pydicom.FileDataset) -> bytes:
    """The file that `dataset` is written as."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def complaints(path: Path) -> str:
    """The errors that the validator finds in a file, as lines; none is expected to fail it."""
    found = subprocess.run(
        ["dciodvfy", "-new", str(path)], check=False, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return "\n".join(line for line in found.stderr.splitlines() if line.startswith("Error"))


@pytest.mark.validators
@pytest.mark.parametrize(
    "phantom", [FRONTAL, LATERAL, draw(2, rows=64, columns=65, bits_stored=16)]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"photometric": "MONOCHROME1"},
        {"for_presentation": False},
        {"transfer_syntax": JPEG2000Lossless},
        {"window": (1000.0, 500.0)},
        {"patient": Demographics.made_up(3, age=None, sex="")},
    ],
)
def test_the_object_is_a_valid_dx_image(phantom, options, tmp_path):
    """The independent validator finds no error in any form of the object."""
    path = write(as_dataset(phantom, **options), tmp_path / "image.dcm")
    assert complaints(path) == ""


def test_the_same_arguments_give_the_same_bytes():
    """UIDs and times follow from the arguments, so that a second run sends the same instance."""
    assert as_bytes(as_dataset(FRONTAL)) == as_bytes(as_dataset(draw(17, rows=96, columns=80)))


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "MONOCHROME1"},
        {"for_presentation": False},
        {"view_position": ""},
        {"transfer_syntax": RLELossless},
        {"window": "none"},
        {"patient": Demographics.made_up(99)},
        {"seed": 18},
    ],
)
def test_another_object_has_another_uid(options):
    """No two different objects share a SOP Instance UID."""
    assert as_dataset(FRONTAL, **options).SOPInstanceUID != as_dataset(FRONTAL).SOPInstanceUID


def test_images_of_one_seed_and_patient_share_the_study():
    """A frontal and a lateral image of a seed are two series of one study; a given UID is kept."""
    frontal, lateral = as_dataset(FRONTAL), as_dataset(LATERAL)
    assert frontal.StudyInstanceUID == lateral.StudyInstanceUID
    assert frontal.SeriesInstanceUID != lateral.SeriesInstanceUID
    assert as_dataset(FRONTAL, study_instance_uid="1.2.3").StudyInstanceUID == "1.2.3"


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_pixels_come_back_from_every_transfer_syntax(syntax, photometric, tmp_path):
    """The stored pixels decode to the drawn ones, or to their exact negative."""
    path = tmp_path / "image.dcm"
    write(as_dataset(FRONTAL, photometric=photometric, transfer_syntax=syntax), path)
    back = pydicom.dcmread(path)
    expected = FRONTAL.pixels if photometric == "MONOCHROME2" else 4095 - FRONTAL.pixels
    assert back.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(back.pixel_array, expected)


def test_eight_bits_are_stored_in_eight():
    """An image of 8 bits has 8 bits allocated and an even number of bytes."""
    odd = as_dataset(draw(4, rows=65, columns=65, bits_stored=8))
    assert (odd.BitsAllocated, odd.BitsStored, odd.HighBit) == (8, 8, 7)
    assert len(odd.PixelData) == 65 * 65 + 1


def test_every_form_is_recognized_as_a_phantom(shared_data):
    """Two attributes identify our images, and no real image is identified as one."""
    assert is_phantom(as_dataset(FRONTAL))
    assert is_phantom(as_dataset(LATERAL, for_presentation=False, patient=Demographics.made_up(1)))
    for file in sorted((shared_data / "cxr-dicom").glob("*.dcm")):
        assert not is_phantom(pydicom.dcmread(file, stop_before_pixels=True, force=True))


def test_the_person_is_seen_to_be_made_up():
    """Name and number identify a phantom; age and sex are those drawn."""
    image = as_dataset(FRONTAL)
    assert str(image.PatientName).startswith("PHANTOM^")
    assert image.PatientID.startswith("PHANTOM-")
    assert (image.PatientSex, image.PatientAge) == (FRONTAL.sex, f"{FRONTAL.age:03d}Y")
    assert image.PatientBirthDate < image.StudyDate


def test_a_given_person_and_silence_about_the_view_are_kept():
    """A child's age, another name and an absent view can be asked for."""
    child = Demographics(
        patient_name="PHANTOM^KIND^Ä", patient_id="P1", age=7, sex="F", accession_number="A1"
    )
    image = as_dataset(FRONTAL, patient=child, view_position="", body_part="")
    assert (image.PatientAge, str(image.PatientName)) == ("007Y", "PHANTOM^KIND^Ä")
    assert not image.ViewPosition
    assert "ViewCodeSequence" not in image
    assert "BodyPartExamined" not in image


def test_the_phantom_fixture_is_a_small_series_of_images(phantom_images):
    """The images that other tests share are on disk and readable."""
    for path in phantom_images.values():
        assert is_phantom(pydicom.dcmread(path, stop_before_pixels=True))
