"""Result objects as files; objects that claim to be verified are refused."""

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from dicom.errors import InvalidOutput
from dicom.identifiers import IMPLEMENTATION_CLASS_UID
from dicom.results.result_file import Output, as_file, check_unverified, compressed, encode

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)


def result(**values):
    """Return a small result."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def captured():
    """Return a small Secondary Capture."""
    return result(
        Rows=8,
        Columns=8,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        PixelData=PIXELS.tobytes(),
    )


def test_a_file_has_our_meta_group():
    """PS3.10 7.1, in Explicit VR Little Endian."""
    read = dcmread(BytesIO(encode(Output(kind="overlay", dataset=as_file(result())))))
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.MediaStorageSOPInstanceUID == "1.2.3"


@pytest.mark.parametrize(
    "values",
    [
        {"PreliminaryFlag": "FINAL"},
        {"VerificationFlag": "VERIFIED"},
        {"VerifyingObserverSequence": []},
        {"ValueType": "CONTAINER"},
        {"ValueType": "CONTAINER", "PreliminaryFlag": "PRELIMINARY"},
    ],
)
def test_a_claim_of_authority_is_refused(values):
    """A draft is preliminary and unverified, and a document states it."""
    with pytest.raises(InvalidOutput):
        encode(Output(kind="draft-report", dataset=as_file(result(**values))))


def test_a_flagged_document_is_accepted():
    """With both flags."""
    flags = {"PreliminaryFlag": "PRELIMINARY", "VerificationFlag": "UNVERIFIED"}
    check_unverified(result(ValueType="CONTAINER", **flags))


def test_compression_loses_nothing():
    """JPEG-LS Lossless; without pixels, or with "none", nothing changes."""
    file = compressed(as_file(captured()), "jpeg-ls")
    read = dcmread(BytesIO(encode(Output(kind="overlay", dataset=file))))
    assert (read.file_meta.TransferSyntaxUID, read.SOPInstanceUID) == (JPEGLSLossless, "1.2.3")
    assert np.array_equal(read.pixel_array, PIXELS)
    for made, kind in ((captured(), "none"), (result(), "jpeg-ls")):
        plain = compressed(as_file(made), kind)
        assert plain.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
