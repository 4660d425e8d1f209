"""A result as a file, and the only exit for one: nothing leaves that claims to be verified or final."""

from dataclasses import dataclass
from io import BytesIO
from typing import Final, Literal

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless

from dicom.content.result_header import OutputKind
from dicom.errors import InvalidOutput
from dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

Compression = Literal["none", "jpeg-ls"]

# What a result may say of itself, where it says anything (PS3.3 C.17.2).
_ALLOWED: Final = {
    "PreliminaryFlag": "PRELIMINARY",
    "VerificationFlag": "UNVERIFIED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One object made from a draft."""

    kind: OutputKind
    dataset: FileDataset


def encode(output: Output) -> bytes:
    """Return the object as a PS3.10 file.

    Raises:
        InvalidOutput: It claims to be verified or final, which only a person's act may make it.
    """
    check_modest(output.dataset)
    buffer = BytesIO()
    dcmwrite(buffer, output.dataset, enforce_file_format=True)
    return buffer.getvalue()


def check_modest(dataset: Dataset) -> None:
    """Make sure that `dataset` claims no person's authority.

    Raises:
        InvalidOutput: Its flags say more than PRELIMINARY and UNVERIFIED, or it names a verifier.
    """
    for keyword, allowed in _ALLOWED.items():
        if keyword in dataset and dataset.get(keyword) != allowed:
            raise InvalidOutput(f"{keyword} of a draft must be {allowed}")
    if "VerifyingObserverSequence" in dataset:
        raise InvalidOutput("a draft names no verifying observer")
    if "ValueType" in dataset and not all(keyword in dataset for keyword in _ALLOWED):
        raise InvalidOutput("a draft document must say that it is preliminary and unverified")


def compressed(file: FileDataset, compression: Compression) -> FileDataset:
    """Return `file` with its picture, if it has one, in JPEG-LS Lossless; as it is for "none".

    The SOP Instance UID stays: nothing was lost (PS3.3 C.12.4.1.1).
    """
    if compression == "jpeg-ls" and "PixelData" in file:
        file.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    return file


def as_file(dataset: Dataset) -> FileDataset:
    """Return `dataset` with our file meta group and Explicit VR Little Endian (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return FileDataset("", dataset, preamble=b"\0" * 128, file_meta=meta)
