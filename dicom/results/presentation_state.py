"""The regions as a Grayscale Softcopy Presentation State, which a viewer can show and hide.

Nothing is burned in, and the image stays unchanged. Many PACS show these objects; OHIF 3.12 does not.
They are therefore optional and never replace the annotated image (PS3.3 A.33.1).
"""

from math import isfinite
from typing import Final

import numpy as np
from highdicom import ModalityLUTTransformation, PresentationLUTTransformation, pr
from pydicom.dataset import Dataset

from dicom.content import phrases
from dicom.content.highdicom_header import OwnHeader, identity, read_image
from dicom.content.output_kind import OutputKind
from dicom.content.patient_study import lo, value_of
from dicom.content.regions import Points, shows_one_side, with_polygons
from dicom.content.report import DraftReport, Finding
from dicom.content.result_header import Equipment, new_result
from dicom.pixels.image_matrix import photometric_interpretation
from dicom.pixels.rescale import decimals, rescale_of
from dicom.pixels.voi import VOI_FUNCTIONS

_LAYER: Final = "AI_FINDINGS"
# L* of CIELab as a 16-bit number (PS3.3 C.10.7.1.1).
_BRIGHT: Final = 0xFFFF


class _GrayscaleState(OwnHeader, pr.GrayscaleSoftcopyPresentationState):
    """Grayscale Softcopy Presentation State with our header."""


def presentation_state(draft: DraftReport, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the presentation state that draws the located findings of `draft` on their image.

    Raises:
        DatasetMismatch: `source` is not the image of the draft.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
        InvalidOutput: A region has a coordinate that is not a number.
    """
    header = new_result(draft, source, equipment, kind=OutputKind.PRESENTATION_STATE)
    shown, layer = _source_image(draft), _layer()
    placed = with_polygons(draft.findings, draft.source)
    annotations = [_annotation(shown, layer, finding, points) for finding, points in placed]
    window = _window(source)
    negative = photometric_interpretation(source) == "MONOCHROME1"
    result: Dataset = _GrayscaleState(
        [shown],
        manufacturer_model_name=header.ManufacturerModelName,
        software_versions=header.SoftwareVersions,
        device_serial_number=header.DeviceSerialNumber,
        content_label=_LAYER,
        content_description="AI findings - NOT VERIFIED",
        content_creator_name=f"{lo(equipment.model_name)}^AI draft",
        graphic_annotations=annotations or None,
        graphic_layers=[layer] if annotations else None,
        modality_lut_transformation=_rescale(source),
        voi_lut_transformations=[window] if window else None,
        presentation_lut_transformation=PresentationLUTTransformation(
            "INVERSE" if negative else "IDENTITY"
        ),
        **identity(header),
    )
    result.update(header)
    result.BodyPartExamined = "CHEST"
    result.PresentationCreationDate = result.pop("ContentDate").value
    result.PresentationCreationTime = result.pop("ContentTime").value
    return result


def _source_image(draft: DraftReport) -> Dataset:
    """Return the image that was read, with the attributes that highdicom evaluates."""
    shown = read_image(draft)
    shown.Rows, shown.Columns, shown.SamplesPerPixel = draft.source.rows, draft.source.columns, 1
    # If no LUT is passed and the SOP Class allows several frames, highdicom looks for one here.
    shown.SharedFunctionalGroupsSequence = [Dataset()]
    shown.PerFrameFunctionalGroupsSequence = []
    return shown


def _rescale(source: Dataset) -> ModalityLUTTransformation | None:
    slope, intercept = value_of(source, "RescaleSlope"), value_of(source, "RescaleIntercept")
    # A rescale that was ignored during reading is not written either.
    is_linear = not source.get("ModalityLUTSequence")
    if not slope or not intercept or not is_linear or rescale_of(source).notes:
        return None
    return ModalityLUTTransformation(float(intercept), float(slope), "US")


def _window(source: Dataset) -> pr.SoftcopyVOILUTTransformation | None:
    """Return the image's first window if it is valid; viewers ignore the image's own VOI LUT."""
    keywords = ("WindowCenter", "WindowWidth")
    values = [_first(source, keyword) for keyword in keywords]
    numbers = [decimals(source, keyword)[:1] for keyword in keywords]
    if None in values or not all(each and isfinite(each[0]) for each in numbers):
        return None
    (center,), (width,) = numbers
    if width < 1:
        return None
    function = value_of(source, "VOILUTFunction")
    return pr.SoftcopyVOILUTTransformation(
        center, width, voi_lut_function=function if function in VOI_FUNCTIONS else None
    )


def _first(source: Dataset, keyword: str) -> str | None:
    one = Dataset()
    raw = source.get(keyword)
    values = raw if hasattr(raw, "append") or isinstance(raw, list | tuple) else [raw]
    if raw is None or not len(values):
        return None
    setattr(one, keyword, str(values[0])[:16])
    text: str | None = value_of(one, keyword)
    return text


def _layer() -> pr.GraphicLayer:
    layer = pr.GraphicLayer(_LAYER, order=1, description="AI findings, not verified")
    layer.GraphicLayerRecommendedDisplayGrayscaleValue = _BRIGHT
    return layer


def _annotation(
    shown: Dataset, layer: pr.GraphicLayer, finding: Finding, points: Points
) -> pr.GraphicAnnotation:
    """Return a region with its label; in PIXEL units (0, 0) is the corner of the top left pixel."""
    text = phrases.outline_label(finding, one_side=shows_one_side(finding, shown.Columns))
    corner = (min(x for x, _ in points), min(y for _, y in points))
    label = pr.TextObject(
        f"AI: {text} (not verified)", "PIXEL", anchor_point=corner, anchor_point_visible=False
    )
    outline = pr.GraphicObject("POLYLINE", np.array(points, np.float64), "PIXEL")
    return pr.GraphicAnnotation([shown], layer, graphic_objects=[outline], text_objects=[label])
