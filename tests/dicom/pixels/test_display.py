"""The description that a viewer gets, for headers whose values are known."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom.pixels.display import PADDING, load_display
from dicom.pixels.frame import PixelLimits

LIMITS = PixelLimits(max_pixels=2**16, max_bytes=2**20)
VALUES = np.arange(600, dtype=np.uint16).reshape(30, 20) * 6


@pytest.fixture
def shown(tmp_path):
    """A function that returns the display image of a header; keywords replace attributes."""

    def load(values=VALUES, **changes):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        dataset.SOPInstanceUID = "1.2.3"
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.Rows, dataset.Columns = values.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.PixelRepresentation = int(values.dtype == np.int16)
        dataset.PixelData = values.tobytes()
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(tmp_path / "image.dcm", enforce_file_format=True)
        return load_display(tmp_path / "image.dcm", LIMITS)

    return load


def test_slope_and_intercept_give_the_modality_values(shown):
    """Hounsfield-like values: 2 x stored - 1000."""
    image = shown(RescaleSlope=2, RescaleIntercept=-1000)
    about = image.description
    modality = image.values * about["slope"] + about["intercept"]
    assert np.array_equal(modality, VALUES * 2.0 - 1000)


def test_padding_is_marked(shown):
    """No other pixel has its value."""
    image = shown(PixelPaddingValue=0)
    assert image.padded
    assert image.description["padding"] == PADDING
    assert np.array_equal(image.values == PADDING, VALUES == 0)
    assert not shown().padded


def test_windows_of_the_file_come_first_with_their_explanation(shown):
    """Then those that are computed; the one in use is marked."""
    about = shown(
        WindowCenter=[1800, 1000],
        WindowWidth=[3600, 500],
        WindowCenterWidthExplanation=["LUNG", "BONE"],
    ).description
    assert [each["name"] for each in about["vois"][:2]] == ["LUNG", "BONE"]
    assert (about["vois"][0]["center"], about["vois"][0]["width"]) == (1800, 3600)
    assert about["shown"] == 0
    assert len(about["vois"]) == 4


def test_spacing_states_where_it_holds(shown):
    """Imager Pixel Spacing is that at the detector (PS3.3 10.7); an invalid one is left out."""
    about = shown(ImagerPixelSpacing=[0.1, 0.2]).description
    assert (about["spacing"], about["spacing_of"]) == ([0.1, 0.2], "at detector")
    about = shown(ImagerPixelSpacing=[0, 0.2], PixelSpacing=[0.3, 0.3]).description
    assert (about["spacing"], about["spacing_of"]) == ([0.3, 0.3], "by Pixel Spacing")
    assert shown().description["spacing"] is None


@pytest.mark.parametrize(
    ("value", "expected"), [(["L", "F"], ["L", "F"]), (["x", "F"], None), ("L", None)]
)
def test_directions_of_rows_and_columns(shown, value, expected):
    """Only directions of the Standard are passed on."""
    assert shown(PatientOrientation=value).description["orientation"] == expected


def test_polarity_view_and_side(shown):
    """MONOCHROME1 is shown inverse; the image's own laterality counts before that of the series."""
    about = shown(
        PhotometricInterpretation="MONOCHROME1",
        ViewPosition="PA",
        ImageLaterality="U",
        Laterality="L",
    ).description
    assert (about["inverse"], about["view"], about["laterality"]) == (True, "PA", "U")


def test_signed_values_begin_at_zero(shown):
    """The lowest value of the image is the lowest level; the intercept leads back."""
    image = shown((VALUES.astype(np.int16) - 1800), BitsStored=16, HighBit=15)
    assert int(image.values.min()) == 0
    assert image.description["intercept"] == -1800
