"""Headers of radiographs for the tests of the selection."""

from pydicom.dataset import Dataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
)


def tags(**attributes):
    """Return a header of a chest radiograph with other tags put over it."""
    header = Dataset()
    header.SOPClassUID = DigitalXRayImageStorageForPresentation
    header.Modality = "DX"
    header.Rows = header.Columns = 2000
    header.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return header


def code(value, meaning=""):
    """Return a sequence with one code item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return [item]
