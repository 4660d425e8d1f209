"""Files with final reports: CSV and JSON Lines, read under limits, each fault with line and column."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.errors import ConfigurationError
from service.final_reports.fields import (
    COLUMNS,
    LONGEST_TEXT,
    FieldFault,
    PreliminaryReport,
    column_of,
    report_of,
)
from service.final_reports.report import FinalReport, FinalSource

_LARGEST_FILE: Final = 512 * 2**20
_LONGEST_LINE: Final = 4 * LONGEST_TEXT  # characters
_MOST_COLUMNS: Final = 200
_DELIMITERS: Final = ",;\t|"
_JSON_LINES: Final = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class LineFault:
    """A line that cannot be used; `words` names the column and what to do, never a value."""

    where: str
    words: str

    def __str__(self) -> str:
        return f"{self.where}: {self.words}"


@dataclass(frozen=True, slots=True)
class Preliminary:
    """A line with a preliminary report, which is not used."""

    where: str


@dataclass(frozen=True, slots=True)
class NoText:
    """A final report without text that is read, such as an embedded PDF."""

    where: str


Line = FinalReport | LineFault | Preliminary | NoText


def read_reports(path: Path) -> Iterator[Line]:
    """Yield what each line of a file holds.

    Args:
        path: CSV with a heading line (comma, semicolon, tab or bar), or JSON Lines by its suffix
            (`.jsonl`, `.ndjson`, `.json`); UTF-8.

    Raises:
        ConfigurationError: The file cannot be read at all; the message states why and what to do.
    """
    check_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _json_lines if path.suffix.lower() in _JSON_LINES else _csv_lines
            yield from lines(path, file)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None


def check_file(path: Path) -> None:
    """Check that a file can be read and has a size that is read.

    Raises:
        ConfigurationError: It cannot, is empty or too large.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None
    if size > _LARGEST_FILE:
        raise ConfigurationError(f"{path}: larger than {_LARGEST_FILE // 2**20} MB: split it")
    if size == 0:
        raise ConfigurationError(f"{path}: the file is empty: export it again")


def _csv_lines(path: Path, file: io.TextIOBase) -> Iterator[Line]:
    first = file.readline(_LONGEST_LINE)
    delimiter = max(_DELIMITERS, key=first.count)
    file.seek(0)
    # Cells are checked one by one; this only bounds the memory that a missing quote can take. The limit
    # holds for the whole process: it is never lowered, because other readers rely on it.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_LINE))
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    header: dict[int, str] | None = None
    while True:
        begin = reader.line_num + 1
        where = f"{path} line {begin}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ConfigurationError(
                f"{where}: no CSV ({error}): is a quotation mark missing?"
            ) from None
        if cells is None:
            break
        if header is None:
            header = _header(where, cells)
        elif any(cell.strip() for cell in cells):
            yield _checked(where, header, cells)
    if header is None:
        raise ConfigurationError(f"{path}: no heading line: the first line names the columns")


def _header(where: str, cells: list[str]) -> dict[int, str]:
    """Return the used columns by their number.

    Raises:
        ConfigurationError: A column occurs twice, or none holds text or a key.
    """
    if len(cells) > _MOST_COLUMNS:
        raise ConfigurationError(f"{where}: more than {_MOST_COLUMNS} columns")
    named = {number: name for number, cell in enumerate(cells) if (name := column_of(cell))}
    names = list(named.values())
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigurationError(f"{where}: two columns mean {doubled[0]}: remove one")
    if not {"report", "findings", "impression"} & set(names):
        raise ConfigurationError(
            f"{where}: no column with the text: name one report, or findings and impression "
            f"(known columns: {', '.join(COLUMNS)})"
        )
    return named


def _checked(where: str, header: Mapping[int, str], cells: list[str]) -> Line:
    fields = {name: cells[number] for number, name in header.items() if number < len(cells)}
    return _line(where, fields)


def _json_lines(path: Path, file: io.TextIOBase) -> Iterator[Line]:
    number = 0
    while text := file.readline(_LONGEST_LINE + 1):
        number += 1
        where = f"{path} line {number}"
        if len(text) > _LONGEST_LINE:
            raise ConfigurationError(
                f"{where}: longer than {_LONGEST_LINE} characters: one report is one line"
            )
        if text.strip():
            yield _json_line(where, text.rstrip("\r\n"))


def _json_line(where: str, text: str) -> Line:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        column = f" column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return LineFault(f"{where}{column}", "no JSON: write one object a line")
    if not isinstance(value, dict):
        return LineFault(where, "must be a JSON object with the columns as names")
    fields: dict[str, str] = {}
    for name, cell in value.items():
        column = column_of(name)
        if column and not _is_scalar(cell):
            return LineFault(where, f"column {column}: must be a text or a number")
        if column in fields:
            return LineFault(where, f"column {column}: given twice under two names: remove one")
        if column:
            fields[column] = "" if cell is None else str(cell)
    return _line(where, fields)


def _is_scalar(cell: Any) -> bool:  # noqa: ANN401 - of JSON
    return cell is None or (isinstance(cell, str | int | float) and not isinstance(cell, bool))


def _line(where: str, fields: Mapping[str, str]) -> Line:
    try:
        return report_of(fields, FinalSource.FILE)
    except FieldFault as fault:
        return LineFault(where, str(fault))
    except PreliminaryReport:
        return Preliminary(where)
