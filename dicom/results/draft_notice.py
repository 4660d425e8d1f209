"""A notice about a draft in an archive: the draft is withdrawn, or in doubt.

A stored document is never changed. The notice is a new document in its own series, whose description
states its purpose; it references the draft as a predecessor (PS3.3 C.17.2). A destination that accepts
images only gets the same text as a page.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from PIL import Image
from pydicom.dataset import Dataset

from dicom.content import codes
from dicom.content.output_kind import NoticeForm, OutputKind
from dicom.content.report import Predecessor
from dicom.content.result_header import (
    Equipment,
    Origin,
    in_image_time_zone,
    new_object,
)
from dicom.content.sr_document import (
    device_author,
    device_observer,
    diagnostic_report,
    report_document,
    section,
)
from dicom.drawing.text_page import Page
from dicom.results.result_file import Output, as_file
from dicom.results.secondary_capture import capture
from dicom.validation.result_object import check

NoticeKind = Literal[OutputKind.WITHDRAWN, OutputKind.IN_DOUBT]


_PAGES: Final[dict[NoticeKind, OutputKind]] = {
    OutputKind.WITHDRAWN: OutputKind.WITHDRAWN_PAGE,
    OutputKind.IN_DOUBT: OutputKind.IN_DOUBT_PAGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftNotice:
    """The content of a notice, and the draft that it is about.

    Attributes:
        kind: Withdrawn or in doubt.
        study_instance_uid: Study Instance UID of the draft.
        draft: The draft's SR, as it was delivered.
        key: Values that distinguish this notice from others about the same draft; part of its UIDs.
        model: Name and version of the model that wrote the draft.
        revision: Revision of the draft.
        noticed_at: When the draft was withdrawn, or the doubt was found, an aware time.
        title: The notice in a few words, for Completion Flag Description.
        banner: The two lines at the top of the page.
        opening: The first text of the document.
        why: The reason, a sentence.
        conclusion: What the reader must do.
    """

    kind: NoticeKind
    study_instance_uid: str
    draft: Predecessor
    key: tuple[str, ...]
    model: str
    revision: int
    noticed_at: datetime
    title: str
    banner: tuple[str, str]
    opening: str
    why: str
    conclusion: str


def draft_notice(
    notice: DraftNotice,
    source: Dataset,
    equipment: Equipment,
    *,
    form: NoticeForm = NoticeForm.DOCUMENT,
) -> Output:
    """Return a notice as a DICOM object; the same arguments give the same object.

    Args:
        notice: The content, and the draft that it is about.
        source: Header of any object of the study, for example of the draft.
        equipment: This installation.
        form: Document or page.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
        InvalidOutput: The notice fails validation.
    """
    is_page = form is NoticeForm.PAGE
    kind = _PAGES[notice.kind] if is_page else notice.kind
    header = new_object(_origin(notice, equipment), source, equipment, kind=kind)
    make = _page if is_page else _document
    made = make(notice, header, source, equipment)
    check(made, source)
    return Output(kind=kind, dataset=as_file(made))


def _document(
    notice: DraftNotice, header: Dataset, source: Dataset, equipment: Equipment
) -> Dataset:
    """Return the notice as a Basic Text SR."""
    described = [notice.opening]
    sections = [
        section(codes.CURRENT_PROCEDURE_DESCRIPTIONS, codes.PROCEDURE_DESCRIPTION, described),
        section(codes.FINDINGS, codes.FINDING, [notice.why]),
        section(codes.IMPRESSIONS, codes.IMPRESSION, [notice.conclusion]),
    ]
    return report_document(
        header,
        source,
        diagnostic_report(codes.IMAGING_PROCEDURE, device_observer(equipment), sections),
        author=device_author(equipment),
        evidence=(),
        predecessor=notice.draft,
        description=notice.title,
        is_complete=True,
    )


def _page(notice: DraftNotice, header: Dataset, _source: Dataset, equipment: Equipment) -> Dataset:
    """Return the notice as a page of text, a MONOCHROME2 Secondary Capture."""
    result = capture(header, _page_image(notice, header, equipment), equipment)
    result.ImageComments = f"{notice.title}."
    result.BurnedInAnnotation = "YES"
    result.DerivationDescription = f"Page of text: {notice.title}"
    # Type 2C for paired body parts; a page of text has no side (PS3.3 C.7.3.1).
    result.Laterality = ""
    return result


def _page_image(notice: DraftNotice, header: Dataset, equipment: Equipment) -> Image.Image:
    page = Page()
    page.banner(notice.banner)
    page.patient(header)
    page.paragraph(notice.conclusion, boxed=True)
    page.heading("What this is about")
    page.paragraph(notice.opening)
    page.heading("Why")
    page.paragraph(notice.why)
    moment = in_image_time_zone(notice.noticed_at, header)
    return page.finished(f"{equipment.name_and_version}  ·  {moment:%Y-%m-%d %H:%M:%S}")


def _origin(notice: DraftNotice, equipment: Equipment) -> Origin:
    return Origin(
        study_instance_uid=notice.study_instance_uid,
        key=(
            notice.draft.sop_instance_uid,
            *notice.key,
            notice.noticed_at.isoformat(),
            equipment.device_uid,
        ),
        revision=notice.revision,
        produced_at=notice.noticed_at,
        software=(equipment.name_and_version,),
        statement=f"{notice.title}. Model {notice.model}.",
    )
