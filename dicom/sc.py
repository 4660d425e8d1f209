"""Secondary Captures: the annotated film and the report page, as DICOM images.

Single frames, uncompressed: the one object that every viewer shows (PS3.3 A.8.1). They carry no pixel
spacing and no window, so that nobody measures on a resampled copy.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from dicom.overlay import overlay_image
from dicom.patient_study import lo, value_of
from dicom.report import DraftReport
from dicom.report_page import page_image
from dicom.result_header import (
    Equipment,
    OutputKind,
    clock_of_film,
    model_words,
    new_result,
    source_image_item,
)

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
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
    """Return the film with the draft's findings as an RGB Secondary Capture.

    Args:
        draft: The findings and notes that are drawn.
        source: Header of the film that was read.
        pixels: float32 [rows, columns] 0..1, as it is to be shown (0 black).
        equipment: This installation, named in the footer.
        long_edge: Width of the image in pixels.

    Raises:
        DatasetMismatch: `source` is not the film of the draft.
        InvalidDataset: It lacks what a result needs.
        InvalidOutput: A region has a coordinate that is not a number.
    """
    result = _capture(draft, source, equipment, "overlay")
    moment = clock_of_film(draft.produced_at, result)
    result.PatientOrientation = _orientation(source)
    # Whether the film itself shows a name only the film can say; where it is silent we say nothing.
    burned_in = value_of(source, "BurnedInAnnotation")
    if burned_in in ("YES", "NO"):
        result.BurnedInAnnotation = burned_in
    result.LossyImageCompression = _lossy(source)
    result.DerivationDescription = (
        f"Film resampled to 8 bits, with AI findings, not verified. Model {model_words(draft)}"
    )[:1024]
    write_pixels(result, overlay_image(draft, pixels, equipment, moment, long_edge=long_edge))
    return result


def report_page(draft: DraftReport, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the draft as a page of text, a MONOCHROME2 Secondary Capture.

    Raises:
        DatasetMismatch: `source` is not the film of the draft.
        InvalidDataset: It lacks what a result needs.
    """
    result = _capture(draft, source, equipment, "report-page")
    result.PatientOrientation = ""
    result.BurnedInAnnotation = "YES"
    result.LossyImageCompression = "00"
    result.DerivationDescription = "Page of text: AI draft report, not verified"
    write_pixels(result, page_image(draft, source, result, equipment))
    return result


def _capture(
    draft: DraftReport, source: Dataset, equipment: Equipment, kind: OutputKind
) -> Dataset:
    result = new_result(draft, source, equipment, kind=kind, sop_class_uid=SECONDARY_CAPTURE)
    write_capture(result, equipment)
    result.BodyPartExamined = "CHEST"
    result.ImageComments = _COMMENT
    result.SourceImageSequence = [source_image_item(draft)]
    return result


def write_capture(result: Dataset, equipment: Equipment) -> None:
    """Say in `result`, whose header stands, that it is a Secondary Capture made by a workstation."""
    # Not the film's modality: hanging protocols would hang the copy as a film.
    result.Modality = "OT"
    result.ConversionType = "WSD"
    result.ImageType = ["DERIVED", "SECONDARY", "", "AI"]
    result.RecognizableVisualFeatures = "NO"
    result.DateOfSecondaryCapture = result.ContentDate
    result.TimeOfSecondaryCapture = result.ContentTime
    result.SecondaryCaptureDeviceManufacturer = lo(equipment.manufacturer)
    result.SecondaryCaptureDeviceManufacturerModelName = lo(equipment.model_name)
    result.SecondaryCaptureDeviceSoftwareVersions = result.SoftwareVersions


def _orientation(source: Dataset) -> list[str] | str:
    """Return the film's Patient Orientation, or empty when it has none that is valid."""
    value = source.get("PatientOrientation")
    if not isinstance(value, list | tuple) and not hasattr(value, "append"):
        return ""
    parts = [str(part) for part in value or ()]
    valid = all(part and set(part) <= _ORIENTATION and len(part) <= 3 for part in parts)
    return parts if len(parts) == 2 and valid else ""


def _lossy(source: Dataset) -> str:
    """Return 01 when the film was ever compressed with loss: its copy stays so (PS3.3 C.7.6.1.1.5)."""
    return "01" if value_of(source, "LossyImageCompression") == "01" else "00"


def write_pixels(result: Dataset, image: Image.Image) -> None:
    """Put an 8-bit grey or RGB picture into `result`, uncompressed (PS3.3 C.7.6.3)."""
    colour = image.mode == "RGB"
    result.SamplesPerPixel = 3 if colour else 1
    result.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        result.PlanarConfiguration = 0
    result.Rows, result.Columns = image.height, image.width
    result.BitsAllocated, result.BitsStored, result.HighBit = 8, 8, 7
    result.PixelRepresentation = 0
    frame = image.tobytes()
    result.PixelData = frame + b"\0" * (len(frame) % 2)
    result["PixelData"].VR = "OB"
