"""Reference reports: their sections as texts and their labels; plain text, Open-i XML, JSON Lines."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self
from xml.etree import ElementTree as ET

from dicom.content.report import Finding
from service.assessment.texts import Part
from service.evaluation.labels import Label
from workers.evaluation.labeled import labels_of
from workers.evaluation.tables import TableRow, column_name
from workers.labeller.findings import label_sentences
from workers.labeller.sentences import clean, sections, without_history_sections

_LARGEST_XML: Final = 4 * 2**20
_DECLARATIONS: Final = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_TEXTS: Final = ("findings", "impression", "report", "text")


@dataclass(frozen=True)
class ReportText:
    """The sentences of a reference report.

    Attributes:
        findings: Of the findings section.
        impression: Of the impression.
    """

    findings: tuple[str, ...]
    impression: tuple[str, ...]

    @classmethod
    def of(cls, parts: Mapping[str, str]) -> Self:
        """Return the report of sections by name; `report` and `text` are split at their headings."""
        whole = "\n".join(parts[name] for name in ("report", "text") if parts.get(name))
        findings, impression = (
            sections(without_history_sections(clean(whole))) if whole else ((), ())
        )
        if parts.get("findings"):
            findings += sum(sections(clean(parts["findings"])), ())
        if parts.get("impression"):
            impression += sum(sections(clean(parts["impression"])), ())
        return cls(findings, impression)

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences in order."""
        return self.findings + self.impression

    @cached_property
    def coded(self) -> tuple[Finding, ...]:
        """The findings that the labeler reads in it."""
        return label_sentences(self.sentences)

    @property
    def labels(self) -> Mapping[str, Label]:
        """The labels that the labeler reads in it."""
        return labels_of(self.coded)

    @property
    def parts(self) -> dict[Part, str]:
        """The texts that drafts are compared with."""
        return {Part.FINDINGS: " ".join(self.findings), Part.REPORT: " ".join(self.sentences)}


def plain_text(text: str) -> ReportText:
    """Return the report of a text file, with or without headings."""
    return ReportText.of({"report": text})


def open_i_text(
    text: str, where: str, faults: list[str]
) -> tuple[ReportText, tuple[str, ...]] | None:
    """Return the report of an Open-i XML file and the names of its study, or None after a fault."""
    if len(text) > _LARGEST_XML or _DECLARATIONS.search(text):
        faults.append(f"{where}: too large, or declares entities, which no report needs")
        return None
    try:
        root = ET.fromstring(text)  # noqa: S314 - without declarations there is nothing to expand
    except ET.ParseError as error:
        faults.append(f"{where}: no XML: {error}")
        return None
    parts: dict[str, str] = {}
    for one in root.iter("AbstractText"):
        name = column_name(one.get("Label") or "")
        if name in _TEXTS:
            parts[name] = f"{parts.get(name, '')}\n{''.join(one.itertext())}".strip()
    names = [one.get("id") or "" for tag in ("uId", "parentImage") for one in root.iter(tag)]
    return ReportText.of(parts), tuple(name for name in names if name)


def json_line_texts(
    text: str, where: str, faults: list[str]
) -> Iterator[tuple[TableRow, ReportText | None]]:
    """Yield each line's cells and report; add a fault for each line that cannot be used."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{where} line {number}"
        try:
            value = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            faults.append(f"{place}: no JSON: {error}")
            continue
        if not isinstance(value, dict):
            faults.append(f"{place}: must be a JSON object")
            continue
        cells = {column_name(name): _cell(cell) for name, cell in _flat(value)}
        parts = {name: cells[name] for name in _TEXTS if cells.get(name)}
        yield TableRow(cells, place), ReportText.of(parts) if parts else None


def _flat(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, cell in value.items():
        if name == "labels" and isinstance(cell, dict):
            yield from cell.items()
        else:
            yield name, cell


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value).strip()
