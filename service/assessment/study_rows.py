"""One row a study: truth, the labels of the draft, scores, attributes; read from and written to CSV.

`per_study.csv` holds all that the figures need except the texts, so that figures and comparisons are
computed again without the model. A site may open it in a spreadsheet.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from service.evaluation.labels import FOURTEEN, SIX, Label
from service.evaluation.subgroups import UNKNOWN
from service.evaluation.values import EvaluationInputError

# The six of CXR-LLaVA first, as everywhere on our pages, then the others of CheXpert.
FINDINGS: Final = (*SIX, *(name for name in FOURTEEN if name not in SIX))


class Outcome(StrEnum):
    """How far a study came; in the order of the flow."""

    UNREADABLE = "unreadable"
    REFUSED = "refused"
    FAILED = "failed"
    NOT_READ = "not read yet"
    NO_TRUTH = "without truth"
    SCORED = "scored"


class Attribute(StrEnum):
    """What subgroups are made of."""

    SEX = "sex"
    AGE = "age"
    VIEW = "view"
    DEVICE = "device"
    AE = "calling AE"
    URGENT = "urgent"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What truth and draft say of one finding beyond its presence.

    Attributes:
        truth_side: "left", "right", "bilateral" or "".
        draft_side: The same of the draft.
        size: Of the finding in the truth, in one unit for all studies; None if not known.
        pattern: "focal", "diffuse" or "".
    """

    truth_side: str = ""
    draft_side: str = ""
    size: float | None = None
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """One study of an evaluation.

    Attributes:
        id: Its identifier, equal in two evaluations of the same study.
        patient: The number of its patient in this evaluation.
        reason: Code why it was not read or not scored, else "".
        attributes: Value by `Attribute`; absent is unknown.
        truth: Label by finding; absent is unknown.
        predicted: Label of the draft by finding; absent is unknown.
        scores: The model's own probability by finding.
        details: Side, size and pattern by finding.
        rouge_l: ROUGE-L of the draft's findings section, None without a reference.
        word_count: Words of the draft; None without a draft.
        cut: Whether the limit on new tokens ended the draft.
        conflicts: How many scores contradict the text.
    """

    id: str
    patient: str
    outcome: Outcome
    reason: str = ""
    attributes: Mapping[Attribute, str] = field(default_factory=dict)
    truth: Mapping[str, Label] = field(default_factory=dict)
    predicted: Mapping[str, Label] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Detail] = field(default_factory=dict)
    rouge_l: float | None = None
    word_count: int | None = None
    cut: bool = False
    conflicts: int = 0

    def group(self, attribute: Attribute) -> str:
        """Return the subgroup of an attribute."""
        return self.attributes.get(attribute) or UNKNOWN

    def detail(self, finding: str) -> Detail:
        """Return what is known of a finding beyond its presence."""
        return self.details.get(finding, _NO_DETAIL)


_NO_DETAIL: Final = Detail()
_PLAIN: Final = ("id", "patient", "outcome", "reason")
_MEASURES: Final = ("rouge_l", "words", "cut", "conflicts")
_TRUTH, _SAID, _SCORE = "truth", "said", "score"
_TRUTH_SIDE, _SAID_SIDE, _SIZE, _PATTERN = "truth_side", "said_side", "size", "pattern"
_KINDS: Final = (_TRUTH, _SAID, _SCORE, _TRUTH_SIDE, _SAID_SIDE, _SIZE, _PATTERN)
_COLUMNS: Final = (
    *_PLAIN,
    *(attribute.value for attribute in Attribute),
    *_MEASURES,
    *(f"{kind} {finding}" for finding in FINDINGS for kind in _KINDS),
)


def rows_csv(rows: Iterable[StudyRow]) -> str:
    """Return the rows as CSV text, sorted by id; columns in which no row has a value are left out."""
    lines = [_cells(row) for row in sorted(rows, key=lambda row: row.id)]
    used = [name for name in _COLUMNS if name in _PLAIN or any(line[name] for line in lines)]
    text = io.StringIO()
    writer = csv.DictWriter(text, used, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def read_rows(path: Path) -> tuple[StudyRow, ...]:
    """Return the rows of a `per_study.csv`.

    Raises:
        EvaluationInputError: It is no such file; the message names file and line.
        OSError: It cannot be opened.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _PLAIN if name not in (reader.fieldnames or ())]
        if missing:
            raise EvaluationInputError(f"{path} has no column {', '.join(missing)}")
        return tuple(_row(cells, f"{path} line {reader.line_num}") for cells in reader)


def _cells(row: StudyRow) -> dict[str, str]:
    cells = {"id": row.id, "patient": row.patient, "outcome": row.outcome, "reason": row.reason}
    cells |= {attribute.value: row.attributes.get(attribute, "") for attribute in Attribute}
    cells["rouge_l"] = "" if row.rouge_l is None else f"{row.rouge_l:.6f}"
    cells["words"] = "" if row.word_count is None else str(row.word_count)
    cells["cut"] = "1" if row.cut else ""
    cells["conflicts"] = str(row.conflicts or "")
    for finding in FINDINGS:
        detail = row.detail(finding)
        values = (
            _label_cell(row.truth, finding),
            _label_cell(row.predicted, finding),
            f"{row.scores[finding]:.4f}" if finding in row.scores else "",
            detail.truth_side,
            detail.draft_side,
            "" if detail.size is None else f"{detail.size:.6g}",
            detail.pattern,
        )
        cells |= {f"{kind} {finding}": value for kind, value in zip(_KINDS, values, strict=True)}
    return cells


def _label_cell(labels: Mapping[str, Label], finding: str) -> str:
    label = labels.get(finding, Label.UNKNOWN)
    return "" if label is Label.UNKNOWN else str(int(label))


def _row(cells: Mapping[str, str], where: str) -> StudyRow:
    try:
        return StudyRow(
            id=cells["id"],
            patient=cells["patient"],
            outcome=Outcome(cells["outcome"]),
            reason=cells["reason"],
            attributes={each: value for each in Attribute if (value := cells.get(each.value))},
            truth=_labels(cells, _TRUTH),
            predicted=_labels(cells, _SAID),
            scores={name: float(cell) for name, cell in _by_finding(cells, _SCORE).items()},
            details=_details(cells),
            rouge_l=float(cells["rouge_l"]) if cells.get("rouge_l") else None,
            word_count=int(cells["words"]) if cells.get("words") else None,
            cut=bool(cells.get("cut")),
            conflicts=int(cells.get("conflicts") or 0),
        )
    except (ValueError, TypeError) as error:
        raise EvaluationInputError(f"{where}: {error}") from error


def _by_finding(cells: Mapping[str, str], kind: str) -> dict[str, str]:
    return {name: cell for name in FINDINGS if (cell := cells.get(f"{kind} {name}"))}


def _labels(cells: Mapping[str, str], kind: str) -> dict[str, Label]:
    return {name: Label(int(cell)) for name, cell in _by_finding(cells, kind).items()}


def _details(cells: Mapping[str, str]) -> dict[str, Detail]:
    columns = [_by_finding(cells, kind) for kind in (_TRUTH_SIDE, _SAID_SIDE, _SIZE, _PATTERN)]
    truth_sides, draft_sides, sizes, patterns = columns
    named = [name for name in FINDINGS if any(name in column for column in columns)]
    return {
        name: Detail(
            truth_side=truth_sides.get(name, ""),
            draft_side=draft_sides.get(name, ""),
            size=float(sizes[name]) if name in sizes else None,
            pattern=patterns.get(name, ""),
        )
        for name in named
    }


def scored(rows: Sequence[StudyRow]) -> list[StudyRow]:
    """Return the scored rows, by id."""
    return sorted((row for row in rows if row.outcome is Outcome.SCORED), key=lambda row: row.id)


def with_truth_of(row: StudyRow, other: StudyRow) -> StudyRow:
    """Return the row with patient and truth of another evaluation of the same study."""
    return replace(row, patient=other.patient, truth=other.truth)
