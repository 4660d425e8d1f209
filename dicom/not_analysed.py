"""What tells a reader that a study was not read, so that silence never looks like "normal".

    build_not_analysed(study, source, equipment)
     ├── not-analysed       Basic Text SR, TID 2000   which study was not read, and why; each film
     └── not-analysed-page  Secondary Capture, grey   the same for viewers without SR, by option

No code says that anything is absent: nothing was looked for.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from PIL import Image
from pydicom.dataset import Dataset

from dicom import codes
from dicom.gate import check
from dicom.outputs import Output, as_file
from dicom.page import Page
from dicom.patient_study import clean_text
from dicom.result_header import Equipment, Origin, OutputKind, clock_of_film, new_object
from dicom.sc import SECONDARY_CAPTURE, write_capture, write_pixels
from dicom.sr import BASIC_TEXT_SR
from dicom.sr_document import (
    code,
    container,
    device_author,
    device_observer,
    evidence,
    image,
    language,
    sop_reference,
    text,
    write_document_modules,
    write_draft_flags,
    write_root,
)

_BANNER: Final = ("AI: NOT ANALYSED", "NO AI RESULT FOR THIS STUDY")
_CONCLUSION: Final = (
    "Not analysed: no AI result exists for the films that had been received. This is not a normal "
    "report. The radiologist reads the study without AI."
)
# A study of hundreds of images is named by its first ones and their number.
_MOST_FILMS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadFilm:
    """One film of the study, as the document refers to it, and why it was not read."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadStudy:
    """A study that holds nothing that may be read.

    Attributes:
        films: All of its films, in order of arrival.
        reason: Why the study was not read, for a person.
        revision: 1 for the first notice of the study, then counting up.
        produced_at: When that was found, an aware time.
    """

    study_instance_uid: str
    films: tuple[UnreadFilm, ...]
    reason: str
    revision: int
    produced_at: datetime


def build_not_analysed(
    study: UnreadStudy, source: Dataset, equipment: Equipment, *, page: bool = False
) -> tuple[Output, ...]:
    """Return the notice that `study` was not read; the same for the same arguments.

    Args:
        study: Which study, which films, and why.
        source: Header of any film of the study: patient and study are copied from it.
        equipment: This installation.
        page: Make a page of text too, for viewers that show images but no SR.

    Raises:
        DatasetMismatch: `source` is of another study.
        MissingAttribute: It has no Study Instance UID.
        InvalidDataset: Its Patient ID or Study Instance UID cannot be written.
        InvalidOutput: The notice does not pass the gate.
    """
    made: list[tuple[OutputKind, Dataset]] = [
        ("not-analysed", not_analysed_report(study, source, equipment))
    ]
    if page:
        made.append(("not-analysed-page", not_analysed_page(study, source, equipment)))
    for _, dataset in made:
        check(dataset, source)
    return tuple(Output(kind=kind, dataset=as_file(dataset)) for kind, dataset in made)


def not_analysed_report(study: UnreadStudy, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the Basic Text SR that says that `study` was not read.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: It lacks what a result needs.
    """
    origin = _origin(study, equipment)
    document = new_object(
        origin, source, equipment, kind="not-analysed", sop_class_uid=BASIC_TEXT_SR
    )
    write_document_modules(document, source, device_author(equipment), _evidence(study))
    write_draft_flags(document, "COMPLETE", "Not analysed by AI; no finding was looked for")
    films = [
        text(codes.FINDING, sentence, "CONTAINS", *reference)
        for sentence, *reference in _films(study)
    ]
    sections = [
        container(
            codes.CURRENT_PROCEDURE_DESCRIPTIONS,
            [text(codes.PROCEDURE_DESCRIPTION, line) for line in _opening(document, equipment)],
        ),
        container(codes.FINDINGS, [text(codes.FINDING, _why(study)), *films]),
        container(codes.IMPRESSIONS, [text(codes.IMPRESSION, _CONCLUSION)]),
    ]
    write_root(
        document,
        codes.DIAGNOSTIC_IMAGING_REPORT,
        "2000",
        [
            code(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE, "HAS CONCEPT MOD"),
            language(),
            *device_observer(equipment),
            *sections,
        ],
    )
    return document


def not_analysed_page(study: UnreadStudy, source: Dataset, equipment: Equipment) -> Dataset:
    """Return the same as a page of text, a MONOCHROME2 Secondary Capture.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: It lacks what a result needs.
    """
    origin = _origin(study, equipment)
    result = new_object(
        origin, source, equipment, kind="not-analysed-page", sop_class_uid=SECONDARY_CAPTURE
    )
    write_capture(result, equipment)
    result.ImageComments = "Not analysed by AI. No finding was looked for."
    result.PatientOrientation = ""
    result.BurnedInAnnotation = "YES"
    result.LossyImageCompression = "00"
    result.DerivationDescription = "Page of text: the study was not analysed by AI"
    # Type 2C for paired body parts, and a page of text has no side (PS3.3 C.7.3.1).
    result.Laterality = ""
    write_pixels(result, _page_image(study, result, equipment))
    return result


def _origin(study: UnreadStudy, equipment: Equipment) -> Origin:
    films = sorted(film.sop_instance_uid for film in study.films)
    # A study that is looked at again keeps its revision: the later notice is another object.
    when = study.produced_at.isoformat()
    return Origin(
        study_instance_uid=study.study_instance_uid,
        key=(study.study_instance_uid, *films, _why(study), when, equipment.device_uid),
        revision=study.revision,
        produced_at=study.produced_at,
        software=(equipment.words,),
        statement="The study was not analysed by AI; no finding was looked for.",
    )


def _opening(document: Dataset, equipment: Equipment) -> list[str]:
    """Return what this is and which study it is about, as far as the films say."""
    when = f"{document.StudyDate[:4]}-{document.StudyDate[4:6]}-{document.StudyDate[6:]}"
    parts = (
        f"of {when}" if document.StudyDate else "",
        f"accession number {document.AccessionNumber}" if document.AccessionNumber else "",
        f"Study Instance UID {document.StudyInstanceUID}",
    )
    opening = (
        f"NOT ANALYSED - NO AI RESULT. {equipment.words} received this study and did not read it. "
        "Not reviewed by a radiologist."
    )
    return [opening, f"Study {', '.join(part for part in parts if part)}."]


def _why(study: UnreadStudy) -> str:
    return f"Why the study was not analysed: {_sentence(study.reason)}"


def _films(study: UnreadStudy) -> Iterator[tuple[str, *tuple[Dataset, ...]]]:
    """Yield a sentence for each film, with the reference to it; the rest as their number."""
    total = len(study.films)
    for number, film in enumerate(study.films[:_MOST_FILMS], start=1):
        reference = sop_reference(film.sop_class_uid, film.sop_instance_uid)
        yield (
            f"Film {number} of {total} was not read: {_sentence(film.reason)}",
            image(codes.BEST_ILLUSTRATION, reference, "INFERRED FROM"),
        )
    if total > _MOST_FILMS:
        yield (f"{total - _MOST_FILMS} more images of the study were not read either.",)


def _evidence(study: UnreadStudy) -> list[Dataset]:
    series: dict[str, list[Dataset]] = defaultdict(list)
    for film in study.films[:_MOST_FILMS]:
        reference = sop_reference(film.sop_class_uid, film.sop_instance_uid)
        series[film.series_instance_uid].append(reference)
    return [evidence(study.study_instance_uid, series)] if series else []


def _page_image(study: UnreadStudy, header: Dataset, equipment: Equipment) -> Image.Image:
    page = Page()
    page.banner(_BANNER)
    page.patient(header)
    page.paragraph(_CONCLUSION, boxed=True)
    page.heading("Why")
    page.paragraph(_sentence(study.reason))
    page.heading("Films")
    for sentence, *_ in _films(study):
        page.paragraph(sentence)
    moment = clock_of_film(study.produced_at, header)
    return page.finished(f"{equipment.words}  ·  {moment:%Y-%m-%d %H:%M:%S}")


def _sentence(words: str) -> str:
    line = clean_text(words) or "no reason was recorded"
    return f"{line[0].upper()}{line[1:]}" if line[-1] in ".!?" else f"{line[0].upper()}{line[1:]}."
