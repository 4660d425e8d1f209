"""The truth of the studies: labels, or reference reports that the labeler turns into labels.

A table with columns of findings holds labels (1 positive, 0 negative, -1 uncertain, blank unknown); one
with `findings`, `impression` or `report` holds texts. JSON Lines hold either; a folder holds a text
file a study (ID.txt), Open-i XML, or both.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from service.assessment.study_rows import Attribute
from service.evaluation.labels import Label
from workers.evaluation.attribute_cells import attribute_cells
from workers.evaluation.cases import Case
from workers.evaluation.finding_columns import FindingCells, finding_cells, finding_columns
from workers.evaluation.report_texts import (
    ReportText,
    json_line_texts,
    open_i_text,
    plain_text,
)
from workers.evaluation.tables import CsvTable, TableRow, read_table, text_of

_TEXT_COLUMNS: Final = ("findings", "impression", "report", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of one study.

    Attributes:
        names: Under which its study is known, the surest first.
        where: File and line.
        cells: Labels, sides, sizes and scores of the table.
        text: The reference report.
    """

    names: tuple[str, ...]
    where: str
    cells: FindingCells = field(default_factory=FindingCells)
    text: ReportText | None = None
    attributes: Mapping[Attribute, str] = field(default_factory=dict)
    years: float | None = None
    patient: str = ""

    @property
    def labels(self) -> Mapping[str, Label]:
        """The labels of the table; of the text where the table has none."""
        if self.cells.labels or self.text is None:
            return self.cells.labels
        return self.text.labels


def truths_at(path: Path, faults: list[str]) -> list[Truth]:
    """Return the truths of a file or folder; add all its faults."""
    if path.is_dir():
        return list(_folder(path, faults))
    readers: dict[str, Callable[[Path, list[str]], list[Truth]]] = {
        ".csv": _table,
        ".tsv": _table,
        ".jsonl": _json_lines,
        ".xml": _open_i,
        ".txt": _plain,
    }
    if not path.exists():
        faults.append(f"{path}: there is no such file or folder")
        return []
    reader = readers.get(path.suffix.lower())
    if reader is None:
        faults.append(f"{path}: truth is a CSV, JSONL, XML or TXT file or a folder of reports")
        return []
    return reader(path, faults)


def _folder(folder: Path, faults: list[str]) -> Iterable[Truth]:
    before = len(faults)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = False
    for path in files:
        reader = {".txt": _plain, ".xml": _open_i}.get(path.suffix.lower())
        if reader is not None and not path.name.startswith("."):
            found = True
            yield from reader(path, faults)
    if not found and len(faults) == before:
        faults.append(f"{folder}: holds no report (ID.txt or Open-i XML)")


def _plain(path: Path, faults: list[str]) -> list[Truth]:
    text = text_of(path, faults)
    if text is None:
        return []
    return [Truth(names=(path.stem,), where=str(path), text=plain_text(text))]


def _open_i(path: Path, faults: list[str]) -> list[Truth]:
    text = text_of(path, faults)
    read = None if text is None else open_i_text(text, str(path), faults)
    if read is None:
        return []
    report, names = read
    return [Truth(names=(*names, path.stem), where=str(path), text=report)]


def _json_lines(path: Path, faults: list[str]) -> list[Truth]:
    text = text_of(path, faults)
    if text is None:
        return []
    found = []
    for row, report in json_line_texts(text, str(path), faults):
        columns = finding_columns(tuple(row.cells), ())
        cells = finding_cells(row, columns, faults)
        found.append(_truth(row, cells, report, faults))
    if not found and not faults:
        faults.append(f"{path}: holds no line")
    return found


def _table(path: Path, faults: list[str]) -> list[Truth]:
    table = read_table(path, faults)
    if table is None:
        return []
    faults_of_header: list[str] = []
    columns = finding_columns(table.header, faults_of_header)
    has_text = [name for name in _TEXT_COLUMNS if name in table.header]
    if not any(name in table.header for name in ("id", "file")):
        faults.append(f"{path}: the table needs a column id or file")
    if not columns.labels and not has_text:
        faults.append(
            f"{path}: no column is a finding (such as Edema) or a text (findings, impression, report)"
        )
    faults += [f"{path}: {fault}" for fault in faults_of_header]
    if not table.rows:
        faults.append(f"{path}: the table has a header and no row")
    return [_row(table, row, faults) for row in table.rows]


def _row(table: CsvTable, row: TableRow, faults: list[str]) -> Truth:
    cells = finding_cells(row, finding_columns(table.header, []), faults)
    parts = {name: row.get(name) for name in _TEXT_COLUMNS if row.get(name)}
    return _truth(row, cells, ReportText.of(parts) if parts else None, faults)


def _truth(row: TableRow, cells: FindingCells, text: ReportText | None, faults: list[str]) -> Truth:
    attributes, years, patient = attribute_cells(row, faults)
    identifier, file = row.get("id"), row.get("file")
    if not identifier and not file:
        faults.append(f"{row.where}: id and file are empty")
    path = Path(file)
    names = (identifier, path.as_posix(), path.name, path.stem) if file else (identifier,)
    return Truth(
        names=tuple(name for name in names if name),
        where=row.where,
        cells=cells,
        text=text,
        attributes=attributes,
        years=years,
        patient=patient,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The truth of each case by its id, and how many truths belong to no study."""

    of: Mapping[str, Truth]
    without_study: int


def matched(truths: Sequence[Truth], cases: Sequence[Case], faults: list[str]) -> Matched:
    """Return the truth of each study; add a fault for each that fits several, or twice the same."""
    index: dict[str, set[str]] = {}
    for case in cases:
        for key in (*case.keys, case.id):
            index.setdefault(key, set()).add(case.id)
    found: dict[str, Truth] = {}
    without = 0
    for truth in truths:
        hits = next((index[name] for name in truth.names if name and name in index), set())
        if not hits:
            without += 1
        elif len(hits) > 1:
            faults.append(f"{truth.where}: fits {len(hits)} studies; use unique ids")
        else:
            _add(found, next(iter(hits)), truth, faults)
    if truths and cases and not found and not faults:
        faults.append(
            f"no truth fits a study: in {truths[0].where} one is called "
            f"{' '.join(truths[0].names[:1])!r}, a study is called {cases[0].id!r}"
        )
    return Matched(of=found, without_study=without)


def _add(found: dict[str, Truth], case: str, truth: Truth, faults: list[str]) -> None:
    known = found.get(case)
    if known is None:
        found[case] = truth
        return
    if (known.cells.labels and truth.cells.labels) or (known.text and truth.text):
        faults.append(f"{truth.where}: the same study as {known.where}")
        return
    # Labels of a table and the report of the same study complete each other.
    table, report = (known, truth) if known.cells.labels else (truth, known)
    found[case] = Truth(
        names=table.names,
        where=table.where,
        cells=table.cells,
        text=report.text,
        attributes={**report.attributes, **table.attributes},
        years=report.years if table.years is None else table.years,
        patient=table.patient or report.patient,
    )
