"""Encode result objects as files; an object that claims to be verified or final is refused."""

from dataclasses import dataclass
from io import BytesIO
from typing import Final, Literal

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless

from dicom.content.output_kind import OutputKind
from dicom.errors import InvalidOutput
from dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

Compression = Literal["none", "jpeg-ls"]

# The only values that a result may have, if it has the attribute (PS3.3 C.17.2).
_ALLOWED: Final = {
    "PreliminaryFlag": "PRELIMINARY",
    "VerificationFlag": "UNVERIFIED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One result object and its kind."""

    kind: OutputKind
    dataset: FileDataset


def encode(output: Output) -> bytes:
    """Return the object as a PS3.10 file.

    Raises:
        InvalidOutput: It claims to be verified or final, which only a person may state.
    """
    check_unverified(output.dataset)
    buffer = BytesIO()
    dcmwrite(buffer, output.dataset, enforce_file_format=True)
    return buffer.getvalue()


def check_unverified(dataset: Dataset) -> None:
    """Check that `dataset` does not claim the authority of a person.

    Raises:
        InvalidOutput: A flag is not PRELIMINARY or UNVERIFIED, it names a verifier, or it is a document
            that lacks one of the flags.
    """
    for keyword, allowed in _ALLOWED.items():
        if keyword in dataset and dataset.get(keyword) != allowed:
            raise InvalidOutput(f"{keyword} of a draft must be {allowed}")
    if "VerifyingObserverSequence" in dataset:
        raise InvalidOutput("a draft names no verifying observer")
    if "ValueType" in dataset and not all(keyword in dataset for keyword in _ALLOWED):
        raise InvalidOutput("a draft document must be flagged preliminary and unverified")


def compressed(file: FileDataset, compression: Compression) -> FileDataset:
    """Compress the pixel data of `file`, if any, in place as JPEG-LS Lossless, and return `file`.

    "none" changes nothing. The SOP Instance UID stays, because the compression is lossless
    (PS3.3 C.12.4.1.1).
    """
    if compression == "jpeg-ls" and "PixelData" in file:
        file.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    return file


def as_file(dataset: Dataset) -> FileDataset:
    """Return `dataset` with our File Meta Information, Explicit VR Little Endian (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return FileDataset("", dataset, preamble=b"\0" * 128, file_meta=meta)
