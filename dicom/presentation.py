"""The regions as a Grayscale Softcopy Presentation State: drawn by the viewer, switched off at will.

Nothing is burned in and the film stays as it is. Many PACS show these; OHIF 3.12 does not, so that they
are made by option only and never instead of the annotated film (PS3.3 A.33.1).
"""

from itertools import chain
from math import isfinite
from typing import Final

from pydicom.dataset import Dataset

from dicom import wording
from dicom.image_matrix import photometric_interpretation
from dicom.patient_study import lo, value_of
from dicom.regions import Points, located, shows_one_side
from dicom.report import DraftReport, Finding
from dicom.rescale import decimals, rescale_of
from dicom.result_header import Equipment, new_result, source_reference
from dicom.voi import VOI_FUNCTIONS

_LAYER: Final = "AI_FINDINGS"
# L* of CIELab as a 16-bit number (PS3.3 C.10.7.1.1).
_BRIGHT: Final = 0xFFFF


def presentation_state(draft: DraftReport, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the presentation state that draws the located findings of `draft` on their film.

    Raises:
        DatasetMismatch: `source` is not the film of the draft.
        InvalidDataset: It lacks what a result needs.
        InvalidOutput: A region has a coordinate that is not a number.
    """
    result = new_result(draft, source, equipment, kind="presentation-state")
    result.Modality = "PR"
    result.BodyPartExamined = "CHEST"
    result.PresentationCreationDate = result.pop("ContentDate").value
    result.PresentationCreationTime = result.pop("ContentTime").value
    result.ContentLabel = _LAYER
    result.ContentDescription = "AI findings - NOT VERIFIED"
    result.ContentCreatorName = f"{lo(equipment.model_name)}^AI draft"
    result.ReferencedSeriesSequence = [_series(draft)]
    _write_display(result, draft, source)
    placed = located(draft.findings, draft.source)
    if placed:
        result.GraphicLayerSequence = [_layer()]
        result.GraphicAnnotationSequence = [_annotation(draft, pair) for pair in placed]
    return result


def _series(draft: DraftReport) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = draft.source.series_instance_uid
    item.ReferencedImageSequence = [source_reference(draft)]
    return item


def _write_display(result: Dataset, draft: DraftReport, source: Dataset) -> None:
    """Show the whole film as it shows itself: its tones are none of our business."""
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [draft.source.columns, draft.source.rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = [1, 1]
    result.DisplayedAreaSelectionSequence = [area]
    negative = photometric_interpretation(source) == "MONOCHROME1"
    result.PresentationLUTShape = "INVERSE" if negative else "IDENTITY"
    slope, intercept = value_of(source, "RescaleSlope"), value_of(source, "RescaleIntercept")
    # What was ignored when the film was read is not written either.
    is_linear = not source.get("ModalityLUTSequence")
    if slope and intercept and is_linear and not rescale_of(source).notes:
        result.RescaleIntercept, result.RescaleSlope = intercept, slope
        result.RescaleType = "US"
    window = _window(source)
    if window is not None:
        result.SoftcopyVOILUTSequence = [window]


def _window(source: Dataset) -> Dataset | None:
    """Return the film's own first window, if it can be used: a presentation state replaces all."""
    keywords = ("WindowCenter", "WindowWidth")
    values = [_first(source, keyword) for keyword in keywords]
    numbers = [decimals(source, keyword)[:1] for keyword in keywords]
    if None in values or not all(each and isfinite(each[0]) for each in numbers):
        return None
    if numbers[1][0] < 1:
        return None
    item = Dataset()
    item.WindowCenter, item.WindowWidth = values
    function = value_of(source, "VOILUTFunction")
    if function in VOI_FUNCTIONS:
        item.VOILUTFunction = function
    return item


def _first(source: Dataset, keyword: str) -> str | None:
    one = Dataset()
    raw = source.get(keyword)
    values = raw if hasattr(raw, "append") or isinstance(raw, list | tuple) else [raw]
    if raw is None or not len(values):
        return None
    setattr(one, keyword, str(values[0])[:16])
    text: str | None = value_of(one, keyword)
    return text


def _layer() -> Dataset:
    item = Dataset()
    item.GraphicLayer = _LAYER
    item.GraphicLayerOrder = 1
    item.GraphicLayerRecommendedDisplayGrayscaleValue = _BRIGHT
    item.GraphicLayerDescription = "AI findings, not verified"
    return item


def _annotation(draft: DraftReport, placed: tuple[Finding, Points]) -> Dataset:
    finding, points = placed
    item = Dataset()
    item.ReferencedImageSequence = [source_reference(draft)]
    item.GraphicLayer = _LAYER
    one_side = shows_one_side(finding, draft.source.columns)
    words = wording.outline_label(finding, one_side=one_side)
    item.TextObjectSequence = [_text(words, points)]
    item.GraphicObjectSequence = [_outline(points)]
    return item


def _outline(points: Points) -> Dataset:
    """Return the region; in PIXEL units (0, 0) is the corner of the top left pixel, as in an SR."""
    item = Dataset()
    item.GraphicAnnotationUnits = "PIXEL"
    item.GraphicDimensions = 2
    item.NumberOfGraphicPoints = len(points)
    item.GraphicData = list(chain.from_iterable(points))
    item.GraphicType = "POLYLINE"
    item.GraphicFilled = "N"
    return item


def _text(words: str, points: Points) -> Dataset:
    item = Dataset()
    item.AnchorPointAnnotationUnits = "PIXEL"
    item.UnformattedTextValue = f"AI: {words} (not verified)"
    item.AnchorPoint = [min(x for x, _ in points), min(y for _, y in points)]
    item.AnchorPointVisibility = "N"
    return item
