"""Case lists of reader studies: CSV or JSON Lines, under limits; columns are `COLUMNS`."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid
from service.reader_study.errors import InvalidReaderStudy
from service.reader_study.ratings import LONGEST_TEXT
from service.reader_study.words import Arm

MOST_CASES: Final = 2_000
COLUMNS: Final = ("id", "study_instance_uid", "arm", "text")
_LARGEST_FILE: Final = 64 * 2**20
_LONGEST_ID: Final = 64
_MOST_FAULTS: Final = 50
_JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """One line of a case list.

    Attributes:
        where: File and line, for messages.
        text: "" for the draft that the service has of the study.
    """

    where: str
    id: str
    study_uid: str
    arm: Arm
    text: str


def read_case_list(path: Path) -> list[CaseLine]:
    """Return the lines of a case list.

    Args:
        path: CSV with a heading line, or JSON Lines by its suffix (`.jsonl`, `.ndjson`); UTF-8.

    Raises:
        InvalidReaderStudy: Names every line that cannot be used; no patient attribute is quoted.
    """
    rows = _json_rows if path.suffix.lower() in _JSON_LINES else _csv_rows
    lines, faults = list[CaseLine](), list[str]()
    for number, row in rows(_content(path)):
        where = f"{path.name} line {number}"
        try:
            lines.append(_line(where, row))
        except ValueError as fault:
            faults.append(f"{where}: {fault}")
    faults += _doubled(lines)
    if not lines and not faults:
        faults.append(f"{path.name}: no case: give lines with {', '.join(COLUMNS)}.")
    if faults:
        more = len(faults) - _MOST_FAULTS
        raise InvalidReaderStudy(
            *faults[:_MOST_FAULTS], *([f"{more} more faults."] if more > 0 else ())
        )
    return lines


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InvalidReaderStudy(
                f"{path.name}: larger than {_LARGEST_FILE // 2**20} MB: split the study."
            )
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidReaderStudy(
            f"{path.name}: not UTF-8 at byte {error.start}: save the file as UTF-8."
        ) from None
    except OSError as error:
        raise InvalidReaderStudy(f"{path}: {error.strerror or error}.") from None


def _csv_rows(content: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    first = content.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(content, newline=""),
        delimiter=max(",;\t", key=first.count),
        restkey="",
        strict=True,
    )
    missing = set(COLUMNS) - {"text"} - set(reader.fieldnames or ())
    if missing:
        raise InvalidReaderStudy(f"line 1: the column {', '.join(sorted(missing))} is missing.")
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InvalidReaderStudy(f"line {reader.line_num}: no CSV ({error}).") from None


def _json_rows(content: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else {}


def _line(where: str, row: Mapping[str, Any]) -> CaseLine:
    """Return a line.

    Raises:
        ValueError: Says what is wrong with it.
    """
    given = {name: _text(name, row.get(name)) for name in COLUMNS}
    if not 0 < len(given["id"].strip()) <= _LONGEST_ID:
        raise ValueError(f"id: 1 to {_LONGEST_ID} characters are needed.")
    try:
        study_uid = check_uid(given["study_instance_uid"].strip())
    except InvalidIdentifier:
        raise ValueError("study_instance_uid: not a valid UID.") from None
    try:
        arm = Arm(given["arm"].strip().lower())
    except ValueError:
        raise ValueError(f"arm: one of {', '.join(Arm)}.") from None
    if len(given["text"]) > LONGEST_TEXT:
        raise ValueError(f"text: longer than {LONGEST_TEXT} characters.")
    if arm is Arm.REFERENCE and not given["text"].strip():
        raise ValueError("text: empty; only a draft is taken from the service.")
    return CaseLine(
        where=where, id=given["id"].strip(), study_uid=study_uid, arm=arm, text=given["text"]
    )


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be a text.")
    return value


def _doubled(lines: Iterable[CaseLine]) -> list[str]:
    """Return a sentence for each text that is there twice, each case of two Studies and the reverse.

    The statistics take cases as independent, and a reader must not see an image again a few items later.
    """
    seen: set[tuple[str, Arm]] = set()
    studies: dict[str, str] = {}
    cases: dict[str, str] = {}
    faults = []
    for each in lines:
        if (each.id, each.arm) in seen:
            faults.append(f"{each.where}: the case has this arm already: remove one of them.")
        if studies.setdefault(each.id, each.study_uid) != each.study_uid:
            faults.append(f"{each.where}: the case has another study_instance_uid above.")
        elif cases.setdefault(each.study_uid, each.id) != each.id:
            faults.append(f"{each.where}: another case above has this study_instance_uid.")
        seen.add((each.id, each.arm))
    if len(studies) > MOST_CASES:
        faults.append(f"{len(studies)} cases: at most {MOST_CASES} are possible.")
    return faults
