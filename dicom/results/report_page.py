"""The report page: the draft as one page of text, for viewers that show images but no SR."""

from datetime import datetime

from PIL import Image
from pydicom.dataset import Dataset

from dicom.content import phrases
from dicom.content.patient_study import clean_text
from dicom.content.report import DraftReport, Finding
from dicom.content.result_header import BANNER, Equipment, in_image_time_zone, model_text
from dicom.drawing.text_page import Page


def page_image(
    draft: DraftReport, source: Dataset, header: Dataset, equipment: Equipment
) -> Image.Image:
    """Return the page as an 8-bit gray image, 1240 pixels wide and 1754 to 8770 pixels high.

    Args:
        draft: The text and the findings.
        source: Header of the image, for the view.
        header: Patient and study attributes as they are written into the result.
        equipment: This installation, named in the footer.
    """
    page = Page()
    page.banner(BANNER)
    page.patient(header)
    page.paragraph(phrases.warning(draft, equipment), boxed=True)
    _write_findings(page, draft)
    _write_text(page, draft, source)
    moment = in_image_time_zone(draft.produced_at, header)
    return page.finished(_foot(draft, equipment, moment))


def _write_findings(page: Page, draft: DraftReport) -> None:
    rows = phrases.listed(draft)
    page.heading("Findings, coded; score: the model's own for present, not calibrated")
    if not draft.is_coded:
        page.paragraph(phrases.NOT_CODED)
    if not rows:
        return
    sampled = any(finding.agreement for finding in draft.findings)
    samples = ("Agreement",) if sampled else ()
    page.table_head(("Finding", "Text of the draft", "Where", "Score", *samples))
    for finding in rows:
        agreement = (phrases.agreement(finding),) if sampled else ()
        page.row((*_cells(finding), *agreement), strong=phrases.is_positive(finding))
    page.gap()


def _write_text(page: Page, draft: DraftReport, source: Dataset) -> None:
    page.heading("Procedure")
    page.paragraph(phrases.procedure(source))
    page.heading("Findings")
    sentences = [line for line in map(clean_text, draft.findings_text) if line]
    page.paragraph(" ".join(sentences) or phrases.NO_FINDINGS_TEXT)
    page.heading("Impression")
    lines = [line for line in map(clean_text, draft.impression_text) if line]
    for number, line in enumerate(lines, start=1):
        page.paragraph(f"{number}. {line}")
    page.paragraph(phrases.FOOTER)
    remarks = phrases.remarks(draft)
    if remarks:
        page.heading("Notes for the reader")
        for remark in remarks:
            page.paragraph(remark.removeprefix("Note: "))


def _foot(draft: DraftReport, equipment: Equipment, moment: datetime) -> str:
    return (
        f"{model_text(draft)}  ·  {equipment.name_and_version}  ·  {moment:%Y-%m-%d %H:%M:%S}  ·  "
        f"revision {draft.revision}"
    )


def _cells(finding: Finding) -> tuple[str, ...]:
    return (
        phrases.label(finding),
        phrases.state(finding),
        phrases.place(finding),
        phrases.certainty(finding) or "none",
    )
