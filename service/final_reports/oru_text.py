"""The text of a report in the OBX segments of an ORU^R01 message, with its section headings. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.final_reports.hl7_message import Message, Segment

_TEXT_TYPES: Final = frozenset({"TX", "FT", "ST"})
# Embedded documents that some senders put into a text value: RTF, PDF in base64 or plain.
_DOCUMENTS: Final = ("{\\rtf", "JVBERi0", "%PDF")
# LOINC codes and HL7 suffixes (OBX-3.1, second subcomponent) of the sections.
_HEADINGS: Final = {
    "59776-5": "FINDINGS",
    "GDT": "FINDINGS",
    "FINDINGS": "FINDINGS",
    "19005-8": "IMPRESSION",
    "IMP": "IMPRESSION",
    "IMPRESSION": "IMPRESSION",
    "CONCLUSION": "IMPRESSION",
    "OPINION": "IMPRESSION",
}
# LOINC codes of clinical information, reason, comparison and technique: they state no finding.
_NOT_FINDINGS: Final = frozenset({"55752-0", "18785-6", "11329-0", "18834-2", "55111-9"})
# A line of this length without a full stop is wrapped: its sentence goes on in the next line.
_WRAPPED: Final = 60
_ENDS: Final = (".", "!", "?", ":", ";")


@dataclass(frozen=True, slots=True)
class TextLine:
    """The text of one OBX, and the heading of its section, "" for none."""

    heading: str
    text: str


def is_readable(message: Message, segment: Segment) -> bool:
    """Whether an OBX holds plain text, and no embedded document."""
    value = segment.field(5).lstrip()
    is_document = value.startswith(_DOCUMENTS) or message.text(value[:40]).startswith(_DOCUMENTS)
    return message.component(segment, 2) in _TEXT_TYPES and not is_document


def line_of(message: Message, segment: Segment) -> TextLine:
    """Return the text of an OBX with a line for each repetition; "" for one that states no finding."""
    names = _names(message, segment)
    if names & _NOT_FINDINGS:
        return TextLine("", "")
    heading = next((_HEADINGS[name] for name in sorted(names) if name in _HEADINGS), "")
    values = message.repetitions(segment, 5)
    present = ["" if value == '""' else message.text(value) for value in values]
    return TextLine(heading, "\n".join(present))


def joined(lines: Sequence[TextLine]) -> str:
    """Return the text of a report: a heading where a section begins, wrapped lines joined."""
    found: list[str] = []
    last = ""
    for each in lines:
        if each.heading and each.heading != last and each.text.strip():
            found.append(f"{each.heading}:")
            last = each.heading
        found += each.text.split("\n")
    return "\n".join(_unwrapped(found)).strip()


def _names(message: Message, segment: Segment) -> set[str]:
    """Return what may name the section: identifier, its suffix, and its text (OBX-3)."""
    first = message.repetitions(segment, 3)[0]
    raw = first.split(message.delimiters.component)[0]
    separator = message.delimiters.subcomponent
    suffixes = raw.split(separator) if separator else [raw]
    names = [*suffixes, *message.components(first)[1:2]]
    return {message.text(each).strip().rstrip(":").upper() for each in names}


def _unwrapped(lines: Sequence[str]) -> list[str]:
    found: list[str] = []
    for line in (each.strip() for each in lines):
        if found and line and _continues(found[-1], line):
            found[-1] = f"{found[-1]} {line}"
        else:
            found.append(line)
    return found


def _continues(before: str, line: str) -> bool:
    if not before or before.endswith(_ENDS):
        return False
    return line[0].islower() or (len(before) >= _WRAPPED and line[0].isalpha())
