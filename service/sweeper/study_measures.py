"""What is measured of a reading: outcome, findings, words, device, exposure, image statistics."""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom.attributes import value_of
from dicom.content.report import DraftReport, Presence
from dicom.errors import DicomError
from dicom.parsing.header import read_header
from dicom.pixels.levels import decoded
from dicom.pixels.statistics import image_statistics
from dicom.spool.levels_file import levels_path, open_index, read_part
from service.drift import streams
from service.drift.rows import UNKNOWN, Category, MonitorRow, RowKind
from service.jobs import ReasonCode
from service.store.drift.recording import DRAFT, FAILED, NOT_ANALYZED, EndedReading

_KEYWORDS: Final = (
    "SpecificCharacterSet",
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "ViewPosition",
    "ExposureIndex",
    "DeviationIndex",
)
_TAGS: Final = frozenset(tag for tag in map(tag_for_keyword, _KEYWORDS) if tag is not None)
_LONGEST: Final = 100
_MOST_PIXELS: Final = 16 * 2**20
_CUT: Final = "The text was cut after"
_CONFLICT: Final = "Text and score disagree"


def row_of(reading: EndedReading, day_of: Callable[[datetime], str]) -> MonitorRow:
    """Return the row of a reading; what cannot be read in its image is absent."""
    job, draft = reading.job, reading.job.draft
    header = _header(reading.image.path) if reading.image else Dataset()
    numbers = _exposure(header)
    if draft is not None and reading.outcome == DRAFT:
        numbers |= _output(draft)
    if reading.image is not None:
        numbers |= _statistics(reading.image.path)
    return MonitorRow(
        kind=RowKind.READING,
        source_id=job.id,
        job_id=job.id,
        study_uid=job.study_instance_uid,
        at=job.updated_at,
        day=day_of(job.updated_at),
        categories={**_device(header), **_software_of(reading)},
        events=_events(reading),
        numbers=numbers,
    )


def _events(reading: EndedReading) -> dict[str, bool]:
    if reading.job.reason_code == ReasonCode.NO_CHANGE:
        return {}
    events = {
        streams.NOT_ANALYZED: reading.outcome == NOT_ANALYZED,
        streams.FAILED: reading.outcome == FAILED,
    }
    if reading.outcome == NOT_ANALYZED:
        events[streams.REASON_PREFIX + reading.job.reason_code] = True
    draft = reading.job.draft
    if draft is None or reading.outcome != DRAFT:
        return events
    presence = {one.observation: one.presence for one in draft.findings}
    for each in streams.WATCHED_FINDINGS:
        found = presence.get(each, Presence.NOT_MENTIONED)
        if found is not Presence.NOT_CODED:
            events[streams.finding_stream(each)] = found is Presence.PRESENT
    events[streams.CUT] = any(note.startswith(_CUT) for note in draft.notes)
    if any(one.score is not None for one in draft.findings):
        events[streams.CONFLICT] = any(note.startswith(_CONFLICT) for note in draft.notes)
    return events


def _output(draft: DraftReport) -> dict[str, float]:
    lines = draft.findings_text + draft.impression_text
    numbers = {streams.WORDS: float(sum(len(line.split()) for line in lines))}
    if draft.timings_ms:
        numbers[streams.SECONDS] = sum(draft.timings_ms.values()) / 1000
    return numbers


def _software_of(reading: EndedReading) -> dict[Category, str]:
    job, draft = reading.job, reading.job.draft
    found = {Category.CALLING_AE: job.calling_ae or UNKNOWN, Category.VERSION: version("wetread")}
    if draft is None:
        return found
    model = draft.model
    # Of the prompt the digest only: a site may have put anything in it.
    setting = sha256(f"{model.prompt}|{model.decoding}".encode()).hexdigest()[:8]
    name = f"{model.name} {model.version} {model.weights_sha256[:8]}"
    return {**found, Category.MODEL: name[:_LONGEST], Category.SETTING: setting}


def _header(path: Path) -> Dataset:
    try:
        return read_header(path, only=_TAGS, strict=False)
    except (DicomError, OSError):
        return Dataset()


def _device(header: Dataset) -> dict[Category, str]:
    names = (_word(header, "Manufacturer"), _word(header, "ManufacturerModelName"))
    device = " ".join(filter(None, names))
    return {
        Category.DEVICE: device[:_LONGEST] or UNKNOWN,
        Category.SOFTWARE: _word(header, "SoftwareVersions") or UNKNOWN,
        Category.VIEW: _word(header, "ViewPosition").upper() or UNKNOWN,
    }


def _word(header: Dataset, keyword: str) -> str:
    value = value_of(header, keyword)
    words = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")
    return " ".join(words.split())[:_LONGEST]


def _exposure(header: Dataset) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, keyword in (
        (streams.EXPOSURE, "ExposureIndex"),
        (streams.DEVIATION, "DeviationIndex"),
    ):
        number = _number(value_of(header, keyword))
        if number is not None:
            found[name] = number
    return found


def _number(value: Any) -> float | None:  # noqa: ANN401 - of a header
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 1e9 else None


def _statistics(image: Path) -> Mapping[str, float]:
    """Return the statistics of the smallest level for viewers; {} where none was made."""
    path = levels_path(image)
    try:
        index = open_index(path)
        size = index.description["levels"][-1]
        rows, columns = int(size["rows"]), int(size["columns"])
        if not 0 < rows * columns <= _MOST_PIXELS:
            return {}
        values = decoded(read_part(path, index.parts[-1]), rows, columns)
        return image_statistics(values, padded=index.description.get("padding") is not None)
    except (DicomError, OSError, KeyError, TypeError, ValueError):
        return {}
