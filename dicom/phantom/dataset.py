"""Wrap a phantom as a valid DX image for any PACS; software can recognize it as synthetic."""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom.identifiers import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    derived_uid,
)
from dicom.phantom.radiograph import Phantom

MANUFACTURER: Final = "Wetread phantom"
Photometric = Literal["MONOCHROME1", "MONOCHROME2"]

_FIRST_DAY: Final = date(2024, 1, 8)
_NATIVE: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
# ViewCodeSequence (PS3.16 CID 4010) by ViewPosition.
_VIEWS: Final = {
    "PA": ("272479007", "postero-anterior"),
    "AP": ("399348003", "antero-posterior"),
    "LL": ("399173006", "left lateral"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demographics:
    """Patient attributes and accession number of a phantom image.

    Attributes:
        patient_name: A PN value.
        age: Whole years at the time of the image; None leaves age and birth date empty.
        sex: "F", "M", "O" or "".
    """

    patient_name: str
    patient_id: str
    age: int | None
    sex: str
    accession_number: str

    @classmethod
    def made_up(cls, seed: int, *, age: int | None = 50, sex: str = "O") -> Self:
        """Return a person whose name and identifiers contain "PHANTOM" or "PH" and the seed."""
        return cls(
            patient_name=f"PHANTOM^CHEST^{seed}",
            patient_id=f"PHANTOM-{seed}",
            age=age,
            sex=sex,
            accession_number=f"PH{seed}"[:16],
        )


def as_dataset(  # noqa: PLR0913 - one keyword for each thing that images differ in
    phantom: Phantom,
    *,
    seed: int | None = None,
    photometric: Photometric = "MONOCHROME2",
    for_presentation: bool = True,
    view_position: str | None = None,
    patient: Demographics | None = None,
    study_instance_uid: str | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    window: Literal["fitting", "none"] | tuple[float, float] = "fitting",
    body_part: str = "CHEST",
) -> FileDataset:
    """Return a phantom as a DX image; the same arguments give the same bytes.

    Args:
        phantom: The phantom to wrap.
        seed: Identifies the study, so that two images can share one; the phantom's own by default.
        photometric: MONOCHROME1 stores the negative, which viewers show like MONOCHROME2.
        for_presentation: False makes DX For Processing, without a window.
        view_position: "PA", "AP", "LL", or "" to leave the view out of every attribute; the
            phantom's own by default.
        patient: By default a synthetic person of the phantom's age and sex.
        study_instance_uid: Derived from the seed and the patient by default.
        transfer_syntax: Uncompressed, or a lossless one that pydicom can encode here.
        window: (center, width) in stored values, to test windows that miss; "fitting" spans all
            values; "none" leaves the window out.
        body_part: BodyPartExamined; "" leaves it out.

    Raises:
        NotImplementedError: There is no encoder for `transfer_syntax`.
    """
    number = phantom.seed if seed is None else seed
    who = patient or Demographics.made_up(number, age=phantom.age, sex=phantom.sex)
    view = phantom.view if view_position is None else view_position
    ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    _person(ds, who, _day(number))
    _study(ds, number, who, study_instance_uid)
    _equipment(ds, phantom, number)
    _view(ds, view, body_part)
    _pixels(ds, phantom, photometric)
    _presentation(ds, phantom, for_presentation=for_presentation, window=window)
    _identify(ds, number, transfer_syntax)
    return ds


def write(dataset: FileDataset, path: Path) -> Path:
    """Write `dataset` to `path` as a PS3.10 file and return `path`; parent folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def is_phantom(header: Dataset) -> bool:
    """Return whether `header` is that of an image made by this module.

    Both must hold: Quality Control Subject (0010,0200) is YES and Manufacturer (0008,0070) is
    "Wetread phantom". Synthetic Data (0008,001C) is not used, because validators and archives that get
    these images are older than that attribute.
    """
    return (
        str(header.get("QualityControlSubject", "")) == "YES"
        and str(header.get("Manufacturer", "")) == MANUFACTURER
    )


def _day(number: int) -> datetime:
    day = _FIRST_DAY + timedelta(days=number % 600)
    clock = timedelta(hours=7, seconds=number * 797 % 43_000)
    return datetime(day.year, day.month, day.day) + clock  # noqa: DTZ001 - DA and TM are local


def _person(ds: Dataset, who: Demographics, when: datetime) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = who.patient_name
    ds.PatientID = who.patient_id
    ds.PatientSex = who.sex
    ds.QualityControlSubject = "YES"
    ds.PatientBirthDate = "" if who.age is None else f"{when.year - who.age - 1}1231"
    if who.age is not None:
        ds.PatientAge = f"{who.age:03d}Y"


def _study(ds: Dataset, number: int, who: Demographics, study_instance_uid: str | None) -> None:
    when = _day(number)
    ds.StudyInstanceUID = study_instance_uid or derived_uid("phantom study", number, who.patient_id)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = f"{when:%Y%m%d}"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = f"{when:%H%M%S}"
    ds.AccessionNumber = who.accession_number
    ds.ReferringPhysicianName = ""
    ds.StudyID = f"{number}"[:16]
    ds.StudyDescription = "XR chest (synthetic)"
    ds.SeriesNumber = 1
    ds.InstanceNumber = 1
    ds.Modality = "DX"


def _equipment(ds: Dataset, phantom: Phantom, number: int) -> None:
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = "dicom.phantom"
    ds.SoftwareVersions = IMPLEMENTATION_VERSION_NAME
    ds.DeviceSerialNumber = f"{number}"
    ds.InstitutionName = "Wetread phantom hospital"
    ds.StationName = "PHANTOM"
    ds.KVP = 90 if phantom.view == "AP" else 125
    ds.DistanceSourceToDetector = 1000 if phantom.view == "AP" else 1800
    ds.ExposureInuAs = 2500
    ds.DetectorType = "SCINTILLATOR"
    ds.DetectorConfiguration = "AREA"
    ds.DetectorActiveShape = "RECTANGLE"
    ds.ImagerPixelSpacing = [phantom.pixel_spacing, phantom.pixel_spacing]


def _view(ds: Dataset, view: str, body_part: str) -> None:
    if body_part:
        ds.BodyPartExamined = body_part
    ds.AnatomicRegionSequence = [_code("816094009", "Chest")]
    ds.ImageLaterality = "U"
    ds.PositionerType = "NONE"
    ds.PatientOrientation = ["A", "F"] if view == "LL" else ["L", "F"]
    ds.SeriesDescription = f"Chest {view}".strip()
    if view in _VIEWS:
        ds.ViewPosition = view
        item = _code(*_VIEWS[view])
        item.ViewModifierCodeSequence = []
        ds.ViewCodeSequence = [item]
    else:
        ds.ViewPosition = view
        ds.PatientOrientation = None


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "SCT"
    item.CodeMeaning = meaning
    return item


def _pixels(ds: Dataset, phantom: Phantom, photometric: Photometric) -> None:
    top = (1 << phantom.bits_stored) - 1
    negative = photometric == "MONOCHROME1"
    values = top - phantom.pixels if negative else phantom.pixels
    wide = phantom.bits_stored > 8
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.Rows, ds.Columns = phantom.pixels.shape
    ds.BitsAllocated = 16 if wide else 8
    ds.BitsStored = phantom.bits_stored
    ds.HighBit = phantom.bits_stored - 1
    ds.PixelRepresentation = 0
    # PS3.3 C.8.11.3: 1 where lower values mean less beam, as bone does in the stored negative.
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if negative else -1
    ds.PresentationLUTShape = "INVERSE" if negative else "IDENTITY"
    raw = values.astype("<u2" if wide else np.uint8).tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OW" if wide else "OB"


def _presentation(
    ds: Dataset,
    phantom: Phantom,
    *,
    for_presentation: bool,
    window: Literal["fitting", "none"] | tuple[float, float],
) -> None:
    ds.ImageType = ["ORIGINAL" if not for_presentation else "DERIVED", "PRIMARY", ""]
    ds.PresentationIntentType = "FOR PRESENTATION" if for_presentation else "FOR PROCESSING"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "NO"
    ds.AcquisitionContextSequence = []
    ds.SOPClassUID = (
        DigitalXRayImageStorageForPresentation
        if for_presentation
        else DigitalXRayImageStorageForProcessing
    )
    if for_presentation and window != "none":
        full = (float(1 << (phantom.bits_stored - 1)), float(1 << phantom.bits_stored))
        ds.WindowCenter, ds.WindowWidth = full if window == "fitting" else window


def _identify(ds: FileDataset, number: int, transfer_syntax: str) -> None:
    """Set Series and SOP Instance UID, derived from all attributes set before; compress if required."""
    # The pixels are hashed separately, because str() of an element shortens long values.
    content = hashlib.sha256(ds.PixelData)
    content.update(_dump(ds).encode())
    ds.SeriesInstanceUID = derived_uid("phantom series", ds.StudyInstanceUID, ds.SeriesDescription)
    ds.SOPInstanceUID = derived_uid("phantom", number, content.hexdigest(), transfer_syntax)
    meta = ds.file_meta
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    native = transfer_syntax in _NATIVE
    meta.TransferSyntaxUID = UID(transfer_syntax if native else ExplicitVRLittleEndian)
    if not native:
        ds.compress(transfer_syntax, generate_instance_uid=False)


def _dump(ds: Dataset) -> str:
    return "\n".join(str(element) for element in ds if element.keyword != "PixelData")
