"""Final reports in an HL7 v2 ORU^R01 message (HL7 v2.5.1 chapter 7.3.1). Pure.

Each order (ORC, OBR, OBX …) is one report; orders of one study in a message are one report together.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final

from service.final_reports.fields import FieldFault, report_of
from service.final_reports.hl7_message import Hl7Fault, Message, Segment, parse
from service.final_reports.oru_text import TextLine, is_readable, joined, line_of
from service.final_reports.report import FinalReport, FinalSource, FinalStatus

DEFAULT_ACCESSION: Final = ("OBR-18", "OBR-3", "OBR-2", "ORC-3")
FIELD: Final = r"([A-Z][A-Z0-9]{2})-(\d{1,2})(?:\.(\d))?"

_REPORT_STATUS: Final = 25  # OBR-25, HL7 table 0123
_LINE_STATUS: Final = 11  # OBX-11, HL7 table 0085
_FINISHED: Final = 22  # OBR-22
_STUDY_UID_CODES: Final = frozenset({"113014", "110180"})  # DCM: DICOM Study, Study Instance UID
_PATIENT_ID_TYPES: Final = ("MR", "PI")  # HL7 table 0203
_TIME: Final = re.compile(r"(\d{12})(\d{2})?(?:\.\d{1,4})?([+-]\d{4})?")


class _Use(Enum):
    """What a status of HL7 table 0123 or 0085 means for its order or line."""

    FINAL = frozenset("FCA")
    WITHDRAWN = frozenset("XWD")
    NOT_STATED = frozenset({""})
    PRELIMINARY = frozenset[str]()  # all others: P, R, I, S …


@dataclass(frozen=True, slots=True)
class OruContent:
    """What a message holds.

    Attributes:
        reports: Its final and withdrawn reports, in the order of the message.
        preliminary: Number of orders that are not final.
        without_text: Number of final orders without text that is read.
        not_read: Number of OBX that are not read, by their type (OBX-2), such as ED.
    """

    reports: tuple[FinalReport, ...]
    preliminary: int = 0
    without_text: int = 0
    not_read: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """The segments of an order, and the PID before it."""

    patient: Segment | None
    segments: tuple[Segment, ...]

    def named(self, name: str) -> Segment | None:
        return next((each for each in self.segments if each.name == name), None)

    @property
    def results(self) -> list[Segment]:
        return [each for each in self.segments if each.name == "OBX"]


def read_oru(content: bytes, accession_fields: Sequence[str] = DEFAULT_ACCESSION) -> OruContent:
    """Return the final reports of a message.

    Args:
        content: The message without MLLP's start and end.
        accession_fields: Where the accession number is searched, such as `OBR-18`; the first that is
            not empty holds it.

    Raises:
        Hl7Fault: It is malformed, no ORU^R01, or a report cannot be matched with a study.
    """
    message = parse(content)
    _check_kind(message)
    orders = list(_orders(message))
    if not orders:
        raise Hl7Fault("OBR", "the message has no such segment")
    found = [_OrderReader(message, each, accession_fields) for each in orders]
    read = [each.read() for each in found]
    return OruContent(
        reports=tuple(_one_each(each for each in read if isinstance(each, FinalReport))),
        preliminary=read.count(_Use.PRELIMINARY),
        without_text=read.count(_Use.FINAL),
        not_read=Counter(kind for each in found for kind in each.not_read),
    )


def _check_kind(message: Message) -> None:
    kind, event = message.component(message.header, 9), message.component(message.header, 9, 2)
    if kind != "ORU" or event not in {"R01", ""}:
        raise Hl7Fault("MSH-9", "is not ORU^R01: send only result messages here")
    if not message.component(message.header, 10):
        raise Hl7Fault("MSH-10", "is empty: it must identify the message")


def _orders(message: Message) -> Iterator[_Order]:
    patient: Segment | None = None
    current: list[Segment] = []
    for segment in message.segments:
        is_new = segment.name == "ORC" or (
            segment.name == "OBR" and any(each.name == "OBR" for each in current)
        )
        if is_new or segment.name == "PID":
            if any(each.name == "OBR" for each in current):
                yield _Order(patient, tuple(current))
            current = []
        if segment.name == "PID":
            patient = segment
        else:
            current.append(segment)
    if any(each.name == "OBR" for each in current):
        yield _Order(patient, tuple(current))


class _OrderReader:
    """Reads one order."""

    def __init__(self, message: Message, order: _Order, accession_fields: Sequence[str]) -> None:
        self._message, self._order = message, order
        self._accession_fields = accession_fields
        self.not_read: list[str] = []

    def read(self) -> FinalReport | _Use:
        """Return the report; FINAL for one without text that is read, PRELIMINARY for no final one.

        Raises:
            Hl7Fault: It has no key of a study, no status, or a field that cannot be used.
        """
        status = _use(self._component("OBR", _REPORT_STATUS))
        lines, uses = self._lines(status)
        use = _of_order(status, uses)
        if use is _Use.NOT_STATED:
            raise Hl7Fault("OBR-25", "is empty, and so is OBX-11: state F, C, A, P, X or W")
        text = joined(lines)
        if use is _Use.PRELIMINARY or (use is _Use.FINAL and not text):
            return use
        return self._report(text if use is _Use.FINAL else "", use)

    def _lines(self, status: _Use) -> tuple[list[TextLine], list[_Use]]:
        """Return the final lines of text, and the use of each OBX that is no key."""
        lines, uses = [], []
        for segment in self._order.results:
            if self._is_study_uid(segment):
                continue
            own = _use(self._message.component(segment, _LINE_STATUS))
            uses.append(status if own is _Use.NOT_STATED else own)
            if not is_readable(self._message, segment):
                self.not_read.append(self._message.component(segment, 2)[:3] or "none")
            elif uses[-1] is _Use.FINAL:
                lines.append(line_of(self._message, segment))
        return lines, uses

    def _report(self, text: str, use: _Use) -> FinalReport:
        accession, where = self._accession()
        patient_id, issuer = self._patient()
        fields = {
            "accession_number": accession,
            "study_uid": self._study_uid(),
            "patient_id": patient_id,
            "issuer": issuer,
            "study_date": self._study_date(),
            "report_id": "^".join(filter(None, self._components("OBR", 3))),
            "status": (FinalStatus.FINAL if use is _Use.FINAL else FinalStatus.WITHDRAWN).value,
            "report": text,
        }
        try:
            found = report_of(fields, FinalSource.HL7)
        except FieldFault as fault:
            raise _in_segments(fault, where) from None
        return replace(
            found,
            report_id=self._sender_scoped(found.report_id),
            reported_at=self._finished_at(),
            message_id=self._message.component(self._message.header, 10),
        )

    def _sender_scoped(self, report_id: str) -> str:
        """Return OBR-3 with its sender if it names no assigner: two systems number from 1."""
        header = self._message.header
        sender = [self._message.components(header.field(number)) for number in (3, 4)]
        if not report_id or any(self._components("OBR", 3)[1:]) or not any(map(any, sender)):
            return report_id
        digest = hashlib.sha256(json.dumps(sender).encode()).hexdigest()
        return f"{report_id}@{digest[:16]}"

    def _accession(self) -> tuple[str, str]:
        """Return the accession number, and the fields in which it was searched."""
        for name in self._accession_fields:
            segment, number, position = _parts(name)
            if found := self._component(segment, number, position):
                return found, name
        return "", ", ".join(self._accession_fields)

    def _patient(self) -> tuple[str, str]:
        """Return patient ID and issuer: PID-3 of type MR or PI, else its first, else PID-2."""
        if self._order.patient is None:
            return "", ""
        every = [
            self._message.components(each)
            for number in (3, 2)
            for each in self._message.repetitions(self._order.patient, number)
        ]
        padded = [[*each, *[""] * 5][:5] for each in every if each[0]]
        chosen = [each for each in padded if each[4] in _PATIENT_ID_TYPES] or padded
        return (chosen[0][0], chosen[0][3]) if chosen else ("", "")

    def _study_uid(self) -> str:
        stated = self._component("ZDS", 1) or self._component("IPC", 3)
        for segment in self._order.results:
            if not stated and self._is_study_uid(segment):
                stated = self._message.component(segment, 5)
        return stated

    def _is_study_uid(self, segment: Segment) -> bool:
        return self._message.component(segment, 3) in _STUDY_UID_CODES

    def _study_date(self) -> str:
        found = self._component("OBR", 7)[:8]
        try:
            return f"{datetime.strptime(found, '%Y%m%d').astimezone():%Y%m%d}"
        except (ValueError, OverflowError, OSError):
            return ""  # it is only needed where nothing else names the study

    def _finished_at(self) -> datetime | None:
        """Return OBR-22; None without minutes: it could not order two versions of one day."""
        found = _TIME.fullmatch(self._component("OBR", _FINISHED))
        if found is None:
            return None
        try:
            digits = found[1] + (found[2] or "00")
            if found[3]:
                return datetime.strptime(digits + found[3], "%Y%m%d%H%M%S%z")
            return datetime.strptime(digits, "%Y%m%d%H%M%S").astimezone()  # of the site
        except (ValueError, OverflowError, OSError):
            return None

    def _component(self, name: str, number: int, position: int = 1) -> str:
        segment = self._order.named(name)
        return self._message.component(segment, number, position) if segment else ""

    def _components(self, name: str, number: int) -> list[str]:
        segment = self._order.named(name)
        if segment is None:
            return []
        return self._message.components(self._message.repetitions(segment, number)[0])


def _use(status: str) -> _Use:
    for use in (_Use.NOT_STATED, _Use.FINAL, _Use.WITHDRAWN):
        if status.upper() in use.value:
            return use
    return _Use.PRELIMINARY


def _of_order(status: _Use, lines: Sequence[_Use]) -> _Use:
    """Return the use of an order by its status and those of its lines.

    A preliminary or withdrawn order has no final line. In a final one some lines may be withdrawn;
    if all are, it is withdrawn.
    """
    if status in {_Use.PRELIMINARY, _Use.WITHDRAWN} or not lines:
        return status
    for use in (_Use.FINAL, _Use.PRELIMINARY, _Use.WITHDRAWN):
        if use in lines:
            return use
    return _Use.NOT_STATED


def _one_each(reports: Iterable[FinalReport]) -> list[FinalReport]:
    """Join the reports of one study; a withdrawn order beside a final one of its study is left out."""
    found: dict[tuple[str, ...], FinalReport] = {}
    for each in reports:
        keys = each.keys
        study: tuple[str, ...] = (keys.accession_number, keys.study_uid, keys.patient_id)
        if not any(study[:2]):
            study = (*study, keys.study_date, each.report_id)
        known = found.get(study)
        if known is None or known.status is FinalStatus.WITHDRAWN:
            found[study] = each
        elif each.status is FinalStatus.FINAL and each.text not in known.text:
            found[study] = replace(known, text=f"{known.text}\n{each.text}")
    return list(found.values())


def _parts(name: str) -> tuple[str, int, int]:
    found = re.fullmatch(FIELD, name)
    if found is None:
        raise ValueError(f"{name} is no field of HL7 such as OBR-18")
    return found[1], int(found[2]), int(found[3] or 1)


def _in_segments(fault: FieldFault, accession: str) -> Hl7Fault:
    """Return the fault with the field of the message instead of the column."""
    words = str(fault).partition(": ")[2]
    if words.startswith("is empty"):
        return Hl7Fault(
            accession, "is empty, and so is ZDS-1: send the accession number or Study UID"
        )
    places = {
        "accession_number": accession,
        "study_uid": "ZDS-1",
        "patient_id": "PID-3",
        "issuer": "PID-3",
        "report_id": "OBR-3",
        "report": "OBX-5",
    }
    return Hl7Fault(places.get(fault.column, "OBR"), words)
