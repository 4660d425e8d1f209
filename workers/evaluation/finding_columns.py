"""The columns of a label table about findings: label, score, side, size and pattern."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from service.assessment.study_rows import FINDINGS
from service.evaluation.labels import Label
from workers.evaluation.tables import TableRow

_ALIASES: Final = {
    "effusion": "pleural effusion",
    "pulmonary edema": "edema",
    "airspace opacity": "lung opacity",
    "enlarged cardiom.": "enlarged cardiomediastinum",
    "normal": "no finding",
}
_LABELS: Final = {
    "1": Label.POSITIVE,
    "0": Label.NEGATIVE,
    "-1": Label.UNCERTAIN,
    "": Label.UNKNOWN,
}
_SIDES: Final = {"left": "left", "l": "left", "right": "right", "r": "right",
                 "bilateral": "bilateral", "both": "bilateral", "b": "bilateral"}  # fmt: skip
_PATTERNS: Final = {"focal": "focal", "diffuse": "diffuse"}
_BEFORE: Final = ("score", "side", "size", "pattern", "box")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingColumns:
    """The column of each finding, by kind."""

    labels: Mapping[str, str]
    beside: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCells:
    """The content of a row, by finding.

    Attributes:
        scores: Probabilities in 0..1, for models that give none themselves.
        sides: "left", "right", "bilateral".
        sizes: In any unit, the same in all rows.
        patterns: "focal", "diffuse".
        boxes: Left, top, width and height in pixels of the image.
        columns: The findings of which the table has a column of labels.
    """

    labels: Mapping[str, Label] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    sides: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)
    patterns: Mapping[str, str] = field(default_factory=dict)
    boxes: Mapping[str, Box] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


def finding_columns(header: Sequence[str], faults: list[str] | tuple[()]) -> FindingColumns:
    """Return the columns of findings; add a fault for a finding that has two."""
    labels: dict[str, str] = {}
    beside: dict[str, dict[str, str]] = {kind: {} for kind in _BEFORE}
    for column in header:
        kind, _, name = column.partition(" ")
        named = _finding(name)
        if kind in _BEFORE and named:
            beside[kind][named] = column
            continue
        finding = _finding(column)
        if finding in labels and isinstance(faults, list):
            faults.append(f"{labels[finding]!r} and {column!r} are the same finding")
        elif finding:
            labels[finding] = column
    return FindingColumns(labels=labels, beside=beside)


def _finding(name: str) -> str:
    name = _ALIASES.get(name, name)
    return name if name in FINDINGS else ""


def finding_cells(row: TableRow, columns: FindingColumns, faults: list[str]) -> FindingCells:
    """Return the findings of a row; add a fault for each cell that cannot be used."""

    def cells(kind: str) -> Mapping[str, str]:
        found = {name: row.get(column) for name, column in columns.beside[kind].items()}
        return {name: cell for name, cell in found.items() if cell}

    return FindingCells(
        labels=_labels(row, columns.labels, faults),
        scores=_numbers(row, "score", cells("score"), faults, highest=1.0),
        sides=_known_values(row, "side", cells("side"), _SIDES, faults),
        sizes=_numbers(row, "size", cells("size"), faults),
        patterns=_known_values(row, "pattern", cells("pattern"), _PATTERNS, faults),
        boxes=_boxes(row, cells("box"), faults),
        columns=tuple(columns.labels),
    )


def _labels(row: TableRow, columns: Mapping[str, str], faults: list[str]) -> dict[str, Label]:
    found: dict[str, Label] = {}
    for name, column in columns.items():
        cell = row.get(column)
        label = _LABELS.get(cell.removesuffix(".0"))  # 1.0 as spreadsheets write it
        if label is None:
            faults.append(f"{row.where}: {column} must be 1, 0, -1 or blank, not {cell[:20]!r}")
        elif label is not Label.UNKNOWN:
            found[name] = label
    return found


def _known_values(
    row: TableRow, kind: str, cells: Mapping[str, str], known: Mapping[str, str], faults: list[str]
) -> dict[str, str]:
    found = {}
    for name, cell in cells.items():
        if cell.lower() in known:
            found[name] = known[cell.lower()]
        else:
            expected = ", ".join(dict.fromkeys(known.values()))
            faults.append(f"{row.where}: {kind} {name} must be {expected}, not {cell[:20]!r}")
    return found


def _numbers(
    row: TableRow,
    kind: str,
    cells: Mapping[str, str],
    faults: list[str],
    *,
    highest: float = float("inf"),
) -> dict[str, float]:
    found = {}
    for name, cell in cells.items():
        try:
            value = float(cell)
        except ValueError:
            value = -1.0
        if 0 <= value <= highest and value < float("inf"):
            found[name] = value
        else:
            limit = f"0 to {highest:g}" if highest < float("inf") else "at least 0"
            faults.append(f"{row.where}: {kind} {name} must be {limit}, not {cell[:20]!r}")
    return found


def _boxes(row: TableRow, cells: Mapping[str, str], faults: list[str]) -> dict[str, Box]:
    found = {}
    for name, cell in cells.items():
        try:
            left, top, width, height = (float(part) for part in cell.split())
            usable = min(left, top, width, height) >= 0 and left + top + width + height < 1e9
        except ValueError:
            usable = False
        if usable:
            found[name] = (left, top, width, height)
        else:
            expected = "left top width height in pixels"
            faults.append(f"{row.where}: box {name} must be {expected}, not {cell[:40]!r}")
    return found
