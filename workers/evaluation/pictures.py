"""Pictures as DICOM objects, which take the site's reading path, and small ones for the report."""

import io
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom.errors import InvalidDataset
from dicom.identifiers import derived_uid
from dicom.phantom import write
from dicom.selection.local_files import describe
from dicom.study import Study
from service.assessment.study_rows import Attribute
from workers.evaluation.cases import Case

_SMALL: Final = 288  # pixels of the longer edge in the report
_QUALITY: Final = 82
_FRONTAL: Final = frozenset({"PA", "AP"})


def wrapped(case: Case, folder: Path, *, max_pixels: int) -> Study:
    """Return the Study of a picture, written to `folder` as a Secondary Capture of a chest.

    Raises:
        InvalidDataset: The file is no usable picture.
    """
    if case.picture is None:
        raise InvalidDataset(f"{case.id} is no picture")
    pixels, bits = _pixels(case.picture, max_pixels)
    path = write(_dataset(case, pixels, bits), folder / f"{case.digest[:32]}.dcm")
    instance = describe(path)
    return Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))


def _pixels(path: Path, max_pixels: int) -> tuple[NDArray[np.uint16], int]:
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > max_pixels:
                raise InvalidDataset(f"{path.name} has more than {max_pixels} pixels")
            if image.mode.startswith("I"):
                return np.asarray(image).clip(0, 2**16 - 1).astype(np.uint16), 16
            return np.asarray(image.convert("L")).astype(np.uint16), 8
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidDataset(f"{path.name} is no PNG or JPEG picture that can be read") from error


def _dataset(case: Case, pixels: NDArray[np.uint16], bits: int) -> FileDataset:
    ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = derived_uid("evaluated picture", case.digest)
    ds.StudyInstanceUID = derived_uid("evaluated picture study", case.digest)
    ds.SeriesInstanceUID = derived_uid("evaluated picture series", case.digest)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = ds.PatientID = ds.PatientBirthDate = ""
    ds.PatientSex = case.attributes.get(Attribute.SEX, "")
    if case.years is not None:
        ds.PatientAge = f"{int(case.years):03d}Y"
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.StudyID = ""
    ds.ReferringPhysicianName = ""
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.Modality, ds.ConversionType, ds.BodyPartExamined = "DX", "WSD", "CHEST"
    view = case.attributes.get(Attribute.VIEW, "")
    ds.ViewPosition = view if view in _FRONTAL else ""
    ds.ImageType = ["DERIVED", "PRIMARY"]
    _image(ds, pixels, bits)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def _image(ds: Dataset, pixels: NDArray[np.uint16], bits: int) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, 0
    raw = pixels.astype("<u2" if bits == 16 else np.uint8).tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OW" if bits == 16 else "OB"


def small_picture(frame: NDArray[np.float32]) -> bytes:
    """Return an image of the report as JPEG.

    Args:
        frame: float32 [rows, columns] in 0..1, 0 black.
    """
    image = Image.fromarray((frame.clip(0, 1) * 255).round().astype(np.uint8))
    image.thumbnail((_SMALL, _SMALL), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()
