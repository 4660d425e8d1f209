"""The fields of one final report, from a line of a table or a JSON object, checked one by one."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid
from service.errors import WetreadError
from service.final_reports.report import FinalReport, FinalSource, FinalStatus, ReportKeys

LONGEST_TEXT: Final = 64 * 2**10  # characters
_LONGEST_ID: Final = 64
_LONGEST_REPORT_ID: Final = 128

# Column -> other names that reporting systems use; names are compared without case, spaces, _ and -.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "accession_number": ("accession", "accession no"),
    "study_uid": ("study instance uid",),
    "patient_id": (),
    "issuer": ("issuer of patient id",),
    "study_date": ("exam date",),
    "report_id": (),
    "status": ("report status",),
    "reported_at": ("report date", "signed at"),
    "findings": (),
    "impression": ("conclusion",),
    "report": ("text", "report text"),
}
_PRELIMINARY: Final = frozenset({"preliminary", "draft", "p"})
_FINAL: Final = frozenset({"", "final", "f", "corrected", "c", "amended", "addendum", "a"})
_WITHDRAWN: Final = frozenset({"withdrawn", "canceled", "cancelled", "deleted", "x", "w", "d"})
_DATE: Final = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class PreliminaryReport(WetreadError):
    """The reporting system states that the report is preliminary: it is not used."""


class FieldFault(WetreadError):
    """A field cannot be used.

    Attributes:
        column: Its name.
    """

    def __init__(self, column: str, message: str) -> None:
        """Take the column, and what is wrong and what to do; the value may be a patient attribute."""
        super().__init__(f"column {column}: {message}")
        self.column = column


def column_of(name: str) -> str:
    """Return the column that a heading names, "" for none of `COLUMNS`."""
    return _BY_NAME.get(_compared(name), "")


def report_of(fields: Mapping[str, str], source: FinalSource) -> FinalReport:
    """Return the report of a line.

    Args:
        fields: Values by column of `COLUMNS`; absent and blank are the same.
        source: How it arrived.

    Raises:
        FieldFault: A field cannot be used, or one is missing.
        PreliminaryReport: It is preliminary.
    """
    given = {name: (fields.get(name) or "").strip() for name in COLUMNS}
    status = _status(given["status"])
    keys = ReportKeys(
        accession_number=_identifier(given, "accession_number"),
        study_uid=_uid(given["study_uid"]),
        patient_id=_identifier(given, "patient_id"),
        issuer=_identifier(given, "issuer"),
        study_date=_date(given["study_date"]),
    )
    if not keys.are_enough:
        raise FieldFault(
            "accession_number",
            "is empty, and so are study_uid, and patient_id or study_date: give one of these keys",
        )
    text = _text(given) if status is FinalStatus.FINAL else ""
    if status is FinalStatus.FINAL and not text:
        raise FieldFault("report", "is empty, and so are findings and impression: give the text")
    return FinalReport(
        source=source,
        keys=keys,
        status=status,
        report_id=_identifier(given, "report_id", _LONGEST_REPORT_ID),
        reported_at=_time(given["reported_at"]),
        text=text,
    )


def _compared(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.strip("\ufeff")).casefold()


_BY_NAME: Final = {
    _compared(name): column for column, others in COLUMNS.items() for name in (column, *others)
}


def _status(word: str) -> FinalStatus:
    folded = word.casefold()
    if folded in _PRELIMINARY:
        raise PreliminaryReport
    if folded in _WITHDRAWN:
        return FinalStatus.WITHDRAWN
    if folded in _FINAL:
        return FinalStatus.FINAL
    raise FieldFault("status", "must be final, corrected, preliminary or withdrawn")


def _identifier(given: Mapping[str, str], column: str, longest: int = _LONGEST_ID) -> str:
    value = given[column]
    if len(value) > longest:
        raise FieldFault(column, f"is longer than {longest} characters: is it another column?")
    if _CONTROL.search(value):
        raise FieldFault(column, "holds a control character: remove it")
    return value


def _uid(value: str) -> str:
    try:
        return check_uid(value) if value else ""
    except InvalidIdentifier:
        raise FieldFault(
            "study_uid", "is no UID (digits and dots, at most 64): export it as text"
        ) from None


def _date(value: str) -> str:
    if not value:
        return ""
    found = _DATE.fullmatch(value)
    try:
        if found:
            return f"{date(int(found[1]), int(found[2]), int(found[3])):%Y%m%d}"
    except ValueError:
        pass  # there is no such day
    raise FieldFault("study_date", "is no date: write YYYY-MM-DD or YYYYMMDD")


def _time(value: str) -> datetime | None:
    if not value:
        return None
    try:
        found = datetime.fromisoformat(value)
        # A time without zone is of the site.
        return found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise FieldFault(
            "reported_at", "is no time: write it as in 2026-11-30T08:15:00+01:00"
        ) from None


def _text(given: Mapping[str, str]) -> str:
    parts = [given["report"]]
    parts += [
        f"{heading}: {given[column]}"
        for column, heading in (("findings", "FINDINGS"), ("impression", "IMPRESSION"))
        if given[column]
    ]
    text = "\n".join(filter(None, parts)).replace("\0", "")
    if len(text) > LONGEST_TEXT:
        raise FieldFault("report", f"is longer than {LONGEST_TEXT} characters: no report is")
    return text
