"""Secondary Captures: the annotated image and the report page, built with highdicom.

They are built as uncompressed single frames, which every viewer shows (PS3.3 A.8.1). They have no pixel
spacing and no window, so that distances cannot be measured on a resampled copy.
"""

from typing import Final

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from dicom.content.highdicom_header import identity
from dicom.content.output_kind import OutputKind
from dicom.content.patient_study import lo, value_of
from dicom.content.report import DraftReport
from dicom.content.result_header import (
    Equipment,
    in_image_time_zone,
    model_text,
    new_result,
    source_image_item,
)
from dicom.results.annotated_image import overlay_image
from dicom.results.report_page import page_image

_COMMENT: Final = "AI generated. Not reviewed by a radiologist."
_ORIENTATION: Final = frozenset("ALRPHF")


def overlay(
    draft: DraftReport,
    source: Dataset,
    pixels: NDArray[np.float32],
    equipment: Equipment,
    *,
    long_edge: int = 1280,
) -> Dataset:
    """Return the image with the draft's findings as an RGB Secondary Capture.

    Args:
        draft: The findings and notes that are drawn.
        source: Header of the image that was read.
        pixels: float32 [rows, columns] 0..1, as displayed (0 black).
        equipment: This installation, named in the footer.
        long_edge: Width of the result in pixels; its height is at most its width.

    Raises:
        DatasetMismatch: `source` is not the image of the draft.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
        InvalidOutput: A region has a coordinate that is not a number.
    """
    header = new_result(draft, source, equipment, kind=OutputKind.OVERLAY)
    moment = in_image_time_zone(draft.produced_at, header)
    picture = overlay_image(draft, pixels, equipment, moment, long_edge=long_edge)
    result = capture(header, picture, equipment)
    _write_draft(result, draft)
    result.PatientOrientation = _orientation(source)
    # Only the source can state whether a name is burned in; without its statement this is left out.
    burned_in = value_of(source, "BurnedInAnnotation")
    if burned_in in ("YES", "NO"):
        result.BurnedInAnnotation = burned_in
    result.LossyImageCompression = _lossy(source)
    result.DerivationDescription = (
        f"Image resampled to 8 bits, with AI findings, not verified. Model {model_text(draft)}"
    )[:1024]
    return result


def report_page(draft: DraftReport, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the draft as a page of text, a MONOCHROME2 Secondary Capture.

    Raises:
        DatasetMismatch: `source` is not the image of the draft.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
    """
    header = new_result(draft, source, equipment, kind=OutputKind.REPORT_PAGE)
    result = capture(header, page_image(draft, source, header, equipment), equipment)
    _write_draft(result, draft)
    result.BurnedInAnnotation = "YES"
    result.DerivationDescription = "Page of text: AI draft report, not verified"
    return result


def _write_draft(result: Dataset, draft: DraftReport) -> None:
    result.BodyPartExamined = "CHEST"
    result.ImageComments = _COMMENT
    result.SourceImageSequence = [source_image_item(draft)]


def capture(header: Dataset, picture: Image.Image, equipment: Equipment) -> Dataset:
    """Return an 8-bit gray or RGB picture as an uncompressed Secondary Capture (Conversion Type WSD).

    Args:
        header: From `result_header.new_object`.
        picture: The pixels. Patient Orientation is left empty for the calling function to set.
        equipment: This installation.
    """
    result: Dataset = SCImage(
        np.asarray(picture),
        "RGB" if picture.mode == "RGB" else "MONOCHROME2",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=header.StudyInstanceUID,
        # highdicom requires an orientation; the attribute is type 2C and overwritten below.
        patient_orientation=("L", "F"),
        **identity(header),
    )
    result.update(header)
    result.PatientOrientation = ""
    if len(result.PixelData) % 2:  # highdicom does not pad to an even length
        result.PixelData += b"\0"
    result["PixelData"].VR = "OB"
    result.LossyImageCompression = "00"
    result.ConversionType = "WSD"
    result.ImageType = ["DERIVED", "SECONDARY", "", "AI"]
    result.RecognizableVisualFeatures = "NO"
    result.DateOfSecondaryCapture = result.ContentDate
    result.TimeOfSecondaryCapture = result.ContentTime
    result.SecondaryCaptureDeviceManufacturer = lo(equipment.manufacturer)
    result.SecondaryCaptureDeviceManufacturerModelName = lo(equipment.model_name)
    result.SecondaryCaptureDeviceSoftwareVersions = result.SoftwareVersions
    return result


def _orientation(source: Dataset) -> list[str] | str:
    """Return the source's Patient Orientation, or "" if it is missing or invalid."""
    value = source.get("PatientOrientation")
    if not isinstance(value, list | tuple) and not hasattr(value, "append"):
        return ""
    parts = [str(part) for part in value or ()]
    valid = all(part and set(part) <= _ORIENTATION and len(part) <= 3 for part in parts)
    return parts if len(parts) == 2 and valid else ""


def _lossy(source: Dataset) -> str:
    """Return "01" if the source was ever compressed with loss, else "00" (PS3.3 C.7.6.1.1.5)."""
    return "01" if value_of(source, "LossyImageCompression") == "01" else "00"
