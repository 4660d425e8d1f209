"""The report page as an Encapsulated PDF, for viewers that show documents but neither SR nor SC."""

from io import BytesIO
from typing import Final

from PIL import Image
from pydicom.dataset import Dataset

from dicom.content.output_kind import OutputKind
from dicom.content.report import DraftReport
from dicom.content.result_header import (
    Equipment,
    in_image_time_zone,
    new_result,
    source_reference,
)
from dicom.results.report_page import page_image

_DOTS_AN_INCH: Final = 150


def report_pdf(draft: DraftReport, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the report page of `draft` as a PDF document in DICOM (PS3.3 A.45.1).

    Raises:
        DatasetMismatch: `source` is not the image of the draft.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
    """
    result = new_result(draft, source, equipment, kind=OutputKind.REPORT_PDF)
    result.Modality = "DOC"
    result.ConversionType = "WSD"
    result.AcquisitionDateTime = ""
    result.BurnedInAnnotation = "YES"
    result.DocumentTitle = "AI DRAFT report - NOT VERIFIED"
    result.ConceptNameCodeSequence = []
    result.VerificationFlag = "UNVERIFIED"
    result.SourceInstanceSequence = [source_reference(draft)]
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    content = _pdf(page_image(draft, source, result, equipment), draft, result)
    result.EncapsulatedDocumentLength = len(content)
    result.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return result


def _pdf(page: Image.Image, draft: DraftReport, header: Dataset) -> bytes:
    """Return `page` as a PDF; its dates come from the draft, so that the bytes are reproducible."""
    moment = in_image_time_zone(draft.produced_at, header).timetuple()
    buffer = BytesIO()
    page.save(
        buffer,
        "PDF",
        resolution=_DOTS_AN_INCH,
        quality=90,
        title="AI DRAFT report - NOT VERIFIED",
        creationDate=moment,
        modDate=moment,
    )
    return buffer.getvalue()
