"""Differences of two copies of one image that matter: patient, order and pixels."""

import numpy as np
import pytest
from pydicom.uid import JPEG2000

from dicom.phantom import as_dataset, draw, write
from dicom.pixels.frame import PixelLimits
from dicom.selection.copy_comparison import differences
from dicom.selection.image_selection import examine

LIMITS = PixelLimits(max_pixels=10**6, max_bytes=10**7)


@pytest.fixture
def compared(tmp_path):
    """A function: attributes of the first and the second copy -> their differences."""

    def compare(first, second, change=None):
        paths = []
        for number, values in enumerate((first, second)):
            image = as_dataset(draw(3, rows=96, columns=80))
            image.SpecificCharacterSet = "ISO_IR 192"
            for keyword, value in values.items():
                setattr(image, keyword, value)
            if number and change:
                change(image)
            paths.append(tmp_path / f"{number}.dcm")
            write(image, paths[-1])
        return differences(*paths, examine, LIMITS)

    return compare


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Müller^Jörg", "Mueller^Joerg"),
        ("Müller^Jörg", "MULLER^JORG"),
        ("Smith^Anna", "Smith^Anna^Maria"),
        ("Smith^Anna^^Dr.", "Smith^Anna"),
        ("O'Neil^Kim", "ONeil^Kim"),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou"),
        ("", "Smith^Anna"),
        ("Smith^Anna", ""),
    ],
)
def test_another_spelling_of_a_name_is_the_same_person(compared, first, second):
    """Accents, transcriptions, titles, further given names and a missing name make no other patient."""
    assert compared({"PatientName": first}, {"PatientName": second}) == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [("Smith^Anna", "Smith^John"), ("Smith^Anna", "Jones^Anna"), ("A^B", "C^D")],
)
def test_another_name_may_be_another_person(compared, first, second):
    """One word that differs on both sides is enough."""
    assert compared({"PatientName": first}, {"PatientName": second}) == ("Patient's Name",)


def test_identifiers_differ_by_any_character(compared):
    """A Patient ID that was filled in is another one; a removed one does not count as a difference."""
    assert compared({"PatientID": "1"}, {"PatientID": "01"}) == ("Patient ID",)
    assert compared({"PatientID": ""}, {"PatientID": "1"}) == ("Patient ID",)
    assert compared({"PatientID": "1"}, {"PatientID": ""}) == ()
    assert compared({"AccessionNumber": ""}, {"AccessionNumber": "1"}) == ()


def test_every_difference_is_named(compared):
    """Patient, order and picture at once, in a fixed order."""

    def invert(image):
        image.PixelData = (4095 - image.pixel_array).astype("<u2").tobytes()

    found = compared(
        {"PatientID": "1", "AccessionNumber": "A"},
        {"PatientID": "2", "AccessionNumber": "B"},
        invert,
    )
    assert found == ("Patient ID", "Accession Number", "the displayed pixels")


def test_a_lossy_copy_shows_the_same_and_a_shifted_one_does_not(compared):
    """Changes by compression make no other picture; an image moved by ten pixels is another."""

    def lossy(image):
        image.compress(JPEG2000, j2k_cr=[6], generate_instance_uid=False)

    def shifted(image):
        image.PixelData = np.roll(image.pixel_array, 10, axis=1).tobytes()

    assert compared({}, {}, lossy) == ()
    assert compared({}, {}, shifted) == ("the displayed pixels",)


def test_a_copy_that_cannot_be_decoded_or_read_is_reported_as_such(compared, tmp_path):
    """Images that cannot be compared do not count as equal."""

    def cut(image):
        image.PixelData = image.PixelData[: len(image.PixelData) // 2]

    assert compared({}, {}, cut) == ("its stored pixels, which cannot be decoded for comparison",)
    nothing = tmp_path / "nothing.dcm"
    nothing.write_bytes(b"no DICOM")
    found = differences(tmp_path / "0.dcm", nothing, examine, LIMITS)
    assert found == ("its header, which cannot be read",)
