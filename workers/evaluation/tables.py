"""CSV files that people made: UTF-8, with comma, semicolon or tab, with or without byte order mark."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LARGEST_FILE: Final = 256 * 2**20
_DELIMITERS: Final = ",;\t"
# What public and exported tables call the two columns that name a study.
_SAME: Final = {
    "filename": "file",
    "file name": "file",
    "image": "file",
    "image index": "file",
    "path": "file",
    "study": "id",
    "study id": "id",
    "studyinstanceuid": "id",
    "study instance uid": "id",
    "accession": "id",
    "accessionnumber": "id",
    "accession number": "id",
}


@dataclass(frozen=True, slots=True)
class TableRow:
    """The cells of a line by column, stripped; `where` names file and line."""

    cells: Mapping[str, str]
    where: str

    def get(self, *names: str) -> str:
        """Return the first cell of these columns that holds something, or ""."""
        return next((value for name in names if (value := self.cells.get(name, ""))), "")


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A table; column names are stripped and in lower case, underscores read as spaces."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]


def text_of(path: Path, faults: list[str]) -> str | None:
    """Return the text of a file, or None after adding a fault."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            faults.append(f"{path}: larger than {LARGEST_FILE // 2**20} MB; split it")
            return None
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        faults.append(f"{path}: {error.strerror or error}")
    except UnicodeDecodeError as error:
        faults.append(f"{path}: not UTF-8 (byte {error.start}); save it as CSV UTF-8")
    return None


def read_table(path: Path, faults: list[str]) -> CsvTable | None:
    """Return the table in a CSV file, or None after adding its faults."""
    text = text_of(path, faults)
    if text is None:
        return None
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        faults.append(f"{path} line {reader.line_num}: {error}")
        return None
    if not lines:
        faults.append(f"{path}: the table is empty")
        return None
    return _checked(path, lines, faults)


def _checked(path: Path, lines: list[tuple[int, list[str]]], faults: list[str]) -> CsvTable | None:
    header = tuple(column_name(cell) for cell in lines[0][1])
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled:
        faults.append(f"{path}: the column {', '.join(doubled)} occurs twice")
        return None
    rows = []
    for number, line in lines[1:]:
        where = f"{path} line {number}"
        if len(line) > len(header) and any(cell.strip() for cell in line[len(header) :]):
            faults.append(f"{where}: {len(line)} cells, but the table has {len(header)} columns")
            continue
        rows.append(
            TableRow({name: cell.strip() for name, cell in zip(header, line, strict=False)}, where)
        )
    return CsvTable(path, header, tuple(rows))


def column_name(cell: str) -> str:
    """Return a column's name as it is compared: lower case, single spaces, no underscores."""
    name = " ".join(cell.strip().strip("\ufeff").replace("_", " ").lower().split())
    return _SAME.get(name, name)
