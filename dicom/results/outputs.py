"""Build the result objects of a draft for the PACS.

    build(draft, source, pixels, equipment)
     ├── draft-report  Basic Text SR, TID 2000      the text of the model
     ├── findings      Comprehensive SR, TID 1500   its findings, coded and located
     ├── overlay       Secondary Capture, RGB       the image with both
     ├── report-page   Secondary Capture, gray      the text for viewers without SR
     └── by option: presentation-state (GSPS), report-pdf; findings as Comprehensive 3D SR

The same draft gives the same bytes: times come from the draft; UIDs are derived from the image, the
model, the revision and the installation. Each object has passed validation. Only `result_file.encode`
encodes them; it refuses an object that claims to be verified or final.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.content.output_kind import OutputKind
from dicom.content.report import DraftReport
from dicom.content.result_header import Equipment
from dicom.content.sr_document import Completion
from dicom.errors import PixelError
from dicom.results.draft_sr import draft_report
from dicom.results.findings_sr import findings_report
from dicom.results.presentation_state import presentation_state
from dicom.results.report_pdf import report_pdf
from dicom.results.result_file import Compression, Output, as_file, compressed, encode
from dicom.results.secondary_capture import overlay, report_page
from dicom.validation.result_object import check

__all__ = [
    "Equipment",
    "Output",
    "OutputKind",
    "OutputOptions",
    "as_file",
    "build",
    "encode",
]

Extra = Literal["presentation-state", "report-pdf"]
# One signature for all optional objects: draft, source header and equipment in, object out.
_EXTRAS: Final[dict[Extra, Callable[[DraftReport, Dataset, Equipment], Dataset]]] = {
    "presentation-state": presentation_state,
    "report-pdf": report_pdf,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Options of a site.

    Attributes:
        completion: Completion Flag of the draft report; COMPLETE if the PACS hides PARTIAL documents.
        overlay_edge: Width of the annotated image in pixels, 512..4096.
        compression: Lossless compression of the pixel data; every PACS accepts "none".
        comprehensive_3d: Findings as Comprehensive 3D SR (IHE AI Results).
        extras: Objects to make in addition to the four.
    """

    completion: Completion = "PARTIAL"
    overlay_edge: int = 1280
    compression: Compression = "none"
    comprehensive_3d: bool = False
    extras: tuple[Extra, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a width at which the burned-in text is illegible or the image too large to load.

        Raises:
            ValueError: `overlay_edge` is not in 512..4096.
        """
        if not 512 <= self.overlay_edge <= 4096:
            raise ValueError("overlay_edge must lie in 512..4096 pixels")


def build(
    draft: DraftReport,
    source: Dataset,
    pixels: NDArray[np.float32],
    equipment: Equipment,
    *,
    options: OutputOptions | None = None,
) -> tuple[Output, ...]:
    """Return the four objects of `draft` and the extras; the same arguments give the same bytes.

    Args:
        draft: The text and the findings.
        source: Header of the image that the draft names as its source.
        pixels: float32 [rows, columns] 0..1, that image as displayed (0 black).
        equipment: This installation.
        options: Options of the site; the defaults if None.

    Raises:
        DatasetMismatch: `source` is not the image of the draft.
        MissingAttribute: `source` has no Study Instance UID.
        InvalidDataset: Patient ID or Study Instance UID of `source` cannot be copied.
        PixelError: The shape of `pixels` differs from the size in the draft.
        InvalidOutput: A finding's region has a coordinate that is not a number, or a result fails
            validation.
    """
    if pixels.shape != (draft.source.rows, draft.source.columns):
        raise PixelError(
            f"the image's pixels are {pixels.shape}, the draft states "
            f"{(draft.source.rows, draft.source.columns)}"
        )
    chosen = options or OutputOptions()
    findings = findings_report(draft, source, equipment, in_3d=chosen.comprehensive_3d)
    made: list[tuple[OutputKind, Dataset]] = [
        (OutputKind.DRAFT_REPORT, draft_report(draft, source, equipment, chosen.completion)),
        (OutputKind.FINDINGS_3D if chosen.comprehensive_3d else OutputKind.FINDINGS, findings),
        (
            OutputKind.OVERLAY,
            overlay(draft, source, pixels, equipment, long_edge=chosen.overlay_edge),
        ),
        (OutputKind.REPORT_PAGE, report_page(draft, source, equipment)),
    ]
    made += [(OutputKind(each), _EXTRAS[each](draft, source, equipment)) for each in chosen.extras]
    for _, dataset in made:
        check(dataset, source)
    return tuple(
        Output(kind=kind, dataset=compressed(as_file(dataset), chosen.compression))
        for kind, dataset in made
    )
