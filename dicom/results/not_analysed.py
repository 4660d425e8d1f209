"""The notice that a study was not read, so that a missing result is never taken for a normal one.

    build_not_analysed(study, source, equipment)
     ├── not-analysed       Basic Text SR, TID 2000   which study was not read, and why; each image
     └── not-analysed-page  Secondary Capture, gray   the same for viewers without SR, by option

No finding is coded as absent, because no finding was looked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from highdicom import sr
from PIL import Image
from pydicom.dataset import Dataset

from dicom.content import codes
from dicom.content.highdicom_header import reference
from dicom.content.output_kind import OutputKind
from dicom.content.patient_study import clean_text
from dicom.content.result_header import (
    Equipment,
    Origin,
    in_image_time_zone,
    new_object,
)
from dicom.content.sr_document import (
    Relationship,
    container,
    device_author,
    device_observer,
    diagnostic_report,
    image,
    report_document,
    section,
    text,
)
from dicom.drawing.text_page import Page
from dicom.results.result_file import Output, as_file
from dicom.results.secondary_capture import capture
from dicom.validation.result_object import check

_BANNER: Final = ("AI: NOT ANALYZED", "NO AI RESULT FOR THIS STUDY")
_CONCLUSION: Final = (
    "Not analyzed: no AI result exists for the images that had been received. This is not a normal "
    "report. The radiologist reads the study without AI."
)
# Of a study of hundreds of images only the first are listed, and the number of the others.
_MAX_IMAGES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadImage:
    """One image of the study, as the document references it, and why it was not read."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadStudy:
    """A study without an image that may be read.

    Attributes:
        images: All images of the study, in order of arrival.
        reason: Why the study was not read, for a person.
        revision: Revision of the job, from 1; a job that is read again keeps it.
        produced_at: Time of the job's first claim, an aware time.
    """

    study_instance_uid: str
    images: tuple[UnreadImage, ...]
    reason: str
    revision: int
    produced_at: datetime


def build_not_analysed(
    study: UnreadStudy, source: Dataset, equipment: Equipment, *, page: bool = False
) -> tuple[Output, ...]:
    """Return the notice that `study` was not read; the same arguments give the same bytes.

    Args:
        study: The study, its images, and why they were not read.
        source: Header of any image of the study; patient and study are copied from it.
        equipment: This installation.
        page: Also make a page of text, for viewers that show images but no SR.

    Raises:
        DatasetMismatch: `source` is of another study.
        MissingAttribute: `source` has no Study Instance UID.
        InvalidDataset: Patient ID or Study Instance UID of `source` cannot be copied.
        InvalidOutput: The notice fails validation.
    """
    made: list[tuple[OutputKind, Dataset]] = [
        (OutputKind.NOT_ANALYSED, not_analysed_report(study, source, equipment))
    ]
    if page:
        made.append((OutputKind.NOT_ANALYSED_PAGE, not_analysed_page(study, source, equipment)))
    for _, dataset in made:
        check(dataset, source)
    return tuple(Output(kind=kind, dataset=as_file(dataset)) for kind, dataset in made)


def not_analysed_report(study: UnreadStudy, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the Basic Text SR that states that `study` was not read.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
    """
    header = new_object(_origin(study, equipment), source, equipment, kind=OutputKind.NOT_ANALYSED)
    findings = [text(codes.FINDING, _why(study)), *_image_items(study)]
    if more := _more(study):
        findings.append(text(codes.FINDING, more))
    described = _opening(header, equipment)
    sections = [
        section(codes.CURRENT_PROCEDURE_DESCRIPTIONS, codes.PROCEDURE_DESCRIPTION, described),
        container(codes.FINDINGS, findings),
        section(codes.IMPRESSIONS, codes.IMPRESSION, [_CONCLUSION]),
    ]
    return report_document(
        header,
        source,
        diagnostic_report(codes.IMAGING_PROCEDURE, device_observer(equipment), sections),
        author=device_author(equipment),
        evidence=[_reference(study, unread) for unread in study.images[:_MAX_IMAGES]],
        description="Not analyzed by AI; no finding was looked for",
        is_complete=True,
    )


def not_analysed_page(study: UnreadStudy, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the same notice as a page of text, a MONOCHROME2 Secondary Capture.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
    """
    header = new_object(
        _origin(study, equipment), source, equipment, kind=OutputKind.NOT_ANALYSED_PAGE
    )
    result = capture(header, _page_image(study, header, equipment), equipment)
    result.ImageComments = "Not analyzed by AI. No finding was looked for."
    result.BurnedInAnnotation = "YES"
    result.DerivationDescription = "Page of text: the study was not analyzed by AI"
    # Type 2C for paired body parts; a page of text has no side (PS3.3 C.7.3.1).
    result.Laterality = ""
    return result


def _origin(study: UnreadStudy, equipment: Equipment) -> Origin:
    images = sorted(unread.sop_instance_uid for unread in study.images)
    # A job that is read again keeps its revision; the time gives the later notice other UIDs.
    when = study.produced_at.isoformat()
    return Origin(
        study_instance_uid=study.study_instance_uid,
        key=(study.study_instance_uid, *images, _why(study), when, equipment.device_uid),
        revision=study.revision,
        produced_at=study.produced_at,
        software=(equipment.name_and_version,),
        statement="The study was not analyzed by AI; no finding was looked for.",
    )


def _opening(document: Dataset, equipment: Equipment) -> list[str]:
    """Return the first sentences: what the document is, and which study it is about."""
    when = f"{document.StudyDate[:4]}-{document.StudyDate[4:6]}-{document.StudyDate[6:]}"
    parts = (
        f"of {when}" if document.StudyDate else "",
        f"accession number {document.AccessionNumber}" if document.AccessionNumber else "",
        f"Study Instance UID {document.StudyInstanceUID}",
    )
    opening = (
        f"NOT ANALYZED - NO AI RESULT. {equipment.name_and_version} received this study and "
        "did not read it. Not reviewed by a radiologist."
    )
    return [opening, f"Study {', '.join(part for part in parts if part)}."]


def _why(study: UnreadStudy) -> str:
    return f"Why the study was not analyzed: {_sentence(study.reason)}"


def _image_items(study: UnreadStudy) -> Iterator[sr.ContentItem]:
    """Yield a sentence for each listed image, with a reference to the image."""
    for unread, sentence in zip(study.images, _sentences(study), strict=False):
        referenced = _reference(study, unread)
        shown = image(codes.BEST_ILLUSTRATION, referenced, Relationship.INFERRED_FROM)
        yield text(codes.FINDING, sentence, children=[shown])


def _sentences(study: UnreadStudy) -> list[str]:
    """Return why each of the first `_MAX_IMAGES` images was not read."""
    total = len(study.images)
    return [
        f"Image {number} of {total} was not read: {_sentence(unread.reason)}"
        for number, unread in enumerate(study.images[:_MAX_IMAGES], start=1)
    ]


def _more(study: UnreadStudy) -> str:
    more = len(study.images) - _MAX_IMAGES
    return f"{more} more images of the study were not read either." if more > 0 else ""


def _reference(study: UnreadStudy, unread: UnreadImage) -> Dataset:
    return reference(
        study.study_instance_uid,
        unread.series_instance_uid,
        sop_class_uid=unread.sop_class_uid,
        sop_instance_uid=unread.sop_instance_uid,
    )


def _page_image(study: UnreadStudy, header: Dataset, equipment: Equipment) -> Image.Image:
    page = Page()
    page.banner(_BANNER)
    page.patient(header)
    page.paragraph(_CONCLUSION, boxed=True)
    page.heading("Why")
    page.paragraph(_sentence(study.reason))
    page.heading("Images")
    for sentence in filter(None, (*_sentences(study), _more(study))):
        page.paragraph(sentence)
    moment = in_image_time_zone(study.produced_at, header)
    return page.finished(f"{equipment.name_and_version}  ·  {moment:%Y-%m-%d %H:%M:%S}")


def _sentence(text: str) -> str:
    line = clean_text(text) or "no reason was recorded"
    return f"{line[0].upper()}{line[1:]}" if line[-1] in ".!?" else f"{line[0].upper()}{line[1:]}."
