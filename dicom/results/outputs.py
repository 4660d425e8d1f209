"""One draft becomes the objects that go to the PACS, and each object becomes a file.

    build(draft, source, pixels, equipment)
     ├── draft-report  Basic Text SR, TID 2000      what the model wrote
     ├── findings      Comprehensive SR, TID 1500   what it means, coded and located
     ├── overlay       Secondary Capture, RGB       the film with both
     ├── report-page   Secondary Capture, grey      the text for viewers without SR
     └── by option: presentation-state (GSPS), report-pdf; findings as Comprehensive 3D SR

The same draft gives the same bytes: every time comes from the draft, every UID from what was read and
by whom. Each has passed the gate. `result_file.encode` is the only exit and lets nothing out that
claims to be verified or final.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.content.report import DraftReport
from dicom.content.result_header import Equipment, OutputKind
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
# One interface for all that is made beside the four: draft, film and equipment in, object out.
_EXTRAS: Final[dict[Extra, Callable[[DraftReport, Dataset, Equipment], Dataset]]] = {
    "presentation-state": presentation_state,
    "report-pdf": report_pdf,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What a site may choose.

    Attributes:
        completion: Completion Flag of the draft report; COMPLETE where the PACS hides PARTIAL.
        overlay_edge: Width of the annotated film in pixels.
        compression: Of the pictures, without loss; every PACS takes them uncompressed.
        comprehensive_3d: Findings as Comprehensive 3D SR (IHE AI Results).
        extras: What is made beside the four objects.
    """

    completion: Completion = "PARTIAL"
    overlay_edge: int = 1280
    compression: Compression = "none"
    comprehensive_3d: bool = False
    extras: tuple[Extra, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a size at which the burned-in words could not be read, or no viewer could load."""
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
    """Return the four objects of `draft`, the same for the same arguments.

    Args:
        draft: What the model wrote and what it means.
        source: Header of the film that the draft names as its source.
        pixels: float32 [rows, columns] 0..1, that film as it is to be shown (0 black).
        equipment: This installation.
        options: What the site chose; the defaults when None.

    Raises:
        DatasetMismatch: `source` is not the film of the draft.
        MissingAttribute: The film has no Study Instance UID.
        InvalidDataset: Its Patient ID or Study Instance UID cannot be written.
        PixelError: `pixels` has not the size that the draft states.
        InvalidOutput: A finding's region has a coordinate that is not a number, or a result does
            not pass the gate.
    """
    if pixels.shape != (draft.source.rows, draft.source.columns):
        raise PixelError(
            f"the film's pixels are {pixels.shape}, the draft speaks of "
            f"{(draft.source.rows, draft.source.columns)}"
        )
    chosen = options or OutputOptions()
    findings = findings_report(draft, source, equipment, in_3d=chosen.comprehensive_3d)
    made: list[tuple[OutputKind, Dataset]] = [
        ("draft-report", draft_report(draft, source, equipment, chosen.completion)),
        ("findings-3d" if chosen.comprehensive_3d else "findings", findings),
        ("overlay", overlay(draft, source, pixels, equipment, long_edge=chosen.overlay_edge)),
        ("report-page", report_page(draft, source, equipment)),
    ]
    made += [(extra, _EXTRAS[extra](draft, source, equipment)) for extra in chosen.extras]
    for _, dataset in made:
        check(dataset, source)
    return tuple(
        Output(kind=kind, dataset=compressed(as_file(dataset), chosen.compression))
        for kind, dataset in made
    )
