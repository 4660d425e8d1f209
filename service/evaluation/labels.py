"""Label tables (study x finding), the published sets of findings, and what counts as a pair.

The sets: `FIVE` and `FOURTEEN` are those of CheXbert F1-5 and F1-14 (Smit 2020), `SIX` those of
CXR-LLaVA. A pair is the truth and the draft's label of one finding in one study; a policy defines which
pairs count and how an uncertain or unknown label is taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.evaluation.values import (
    Booleans,
    EvaluationInputError,
    Reason,
    Value,
    ratio,
)


class Label(IntEnum):
    """The label of a finding by a text or a person; the numbers are those of CheXpert's tables."""

    UNKNOWN = -2
    UNCERTAIN = -1
    NEGATIVE = 0
    POSITIVE = 1


FOURTEEN: Final = (
    "enlarged cardiomediastinum",
    "cardiomegaly",
    "lung opacity",
    "lung lesion",
    "edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural effusion",
    "pleural other",
    "fracture",
    "support devices",
    "no finding",
)
FIVE: Final = ("cardiomegaly", "edema", "consolidation", "atelectasis", "pleural effusion")
SIX: Final = (
    "atelectasis",
    "cardiomegaly",
    "consolidation",
    "edema",
    "pleural effusion",
    "pneumothorax",
)


class Treatment(StrEnum):
    """How a label that is neither positive nor negative is taken."""

    EXCLUDE = "exclude"
    POSITIVE = "positive"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How uncertain and unknown labels are taken, on both sides alike."""

    uncertain: Treatment
    unknown: Treatment


# CXR-LLaVA: only pairs of which both sides are definite.
DEFINITE_PAIRS: Final = Policy(uncertain=Treatment.EXCLUDE, unknown=Treatment.EXCLUDE)
# LLaVA-Rad's F1-14 and F1-5: everything but a positive is negative.
POSITIVE_ONLY: Final = Policy(uncertain=Treatment.NEGATIVE, unknown=Treatment.NEGATIVE)
# LLaVA-Rad's F1-14+ and F1-5+, `f1chexbert` and `radeval`.
UNCERTAIN_POSITIVE: Final = Policy(uncertain=Treatment.POSITIVE, unknown=Treatment.NEGATIVE)
# A site's table in which a blank cell means "absent".
BLANK_NEGATIVE: Final = Policy(uncertain=Treatment.EXCLUDE, unknown=Treatment.NEGATIVE)


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels of studies.

    Attributes:
        ids: The studies' identifiers, n of them, no two equal.
        findings: The findings' names, f of them, no two equal.
        values: int8 [n, f], values of `Label`.

    Raises:
        EvaluationInputError: Shapes or values do not fit, or a name occurs twice.
    """

    ids: tuple[str, ...]
    findings: tuple[str, ...]
    values: NDArray[np.int8]

    def __post_init__(self) -> None:
        expected = (len(self.ids), len(self.findings))
        if self.values.shape != expected:
            raise EvaluationInputError(
                f"values must have shape {expected}, not {self.values.shape}"
            )
        _unique("study", self.ids)
        _unique("finding", self.findings)
        if not np.isin(self.values, [int(label) for label in Label]).all():
            raise EvaluationInputError("values must be -2, -1, 0 or 1")

    @classmethod
    def from_rows(
        cls, rows: Mapping[str, Mapping[str, Label]], findings: Sequence[str]
    ) -> "LabelTable":
        """Build a table from study -> finding -> label; what a row lacks is unknown."""
        values = np.full((len(rows), len(findings)), Label.UNKNOWN, dtype=np.int8)
        for line, row in enumerate(rows.values()):
            for column, finding in enumerate(findings):
                values[line, column] = row.get(finding, Label.UNKNOWN)
        return cls(tuple(rows), tuple(findings), values)

    def columns(self, findings: Sequence[str]) -> "LabelTable":
        """Return the table of these findings in this order.

        Raises:
            EvaluationInputError: The table lacks one.
        """
        places = {name: place for place, name in enumerate(self.findings)}
        missing = [name for name in findings if name not in places]
        if missing:
            raise EvaluationInputError(f"the table has no column {', '.join(missing)}")
        chosen = [places[name] for name in findings]
        return LabelTable(self.ids, tuple(findings), self.values[:, chosen])

    def rows(self, ids: Sequence[str]) -> "LabelTable":
        """Return the table of these studies in this order.

        Raises:
            EvaluationInputError: The table lacks one; the message counts them and names none.
        """
        places = {name: place for place, name in enumerate(self.ids)}
        missing = sum(name not in places for name in ids)
        if missing:
            raise EvaluationInputError(f"the table lacks {missing} of {len(ids)} studies")
        return LabelTable(tuple(ids), self.findings, self.values[[places[name] for name in ids]])


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """How often each label occurs for one finding."""

    positive: int
    negative: int
    uncertain: int
    unknown: int

    @property
    def definite_share(self) -> Value:
        """Share of studies that are called positive or negative."""
        n = self.positive + self.negative + self.uncertain + self.unknown
        return ratio(self.positive + self.negative, n, Reason.NO_CASES)


def label_counts(table: LabelTable) -> dict[str, LabelCounts]:
    """Count the labels of each finding."""
    return {
        finding: LabelCounts(
            positive=int((column == Label.POSITIVE).sum()),
            negative=int((column == Label.NEGATIVE).sum()),
            uncertain=int((column == Label.UNCERTAIN).sum()),
            unknown=int((column == Label.UNKNOWN).sum()),
        )
        for finding, column in zip(table.findings, table.values.T, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Pairs:
    """Truth and draft as binary labels.

    Attributes:
        findings: f names.
        truth: bool [n, f], true where the finding is present.
        predicted: bool [n, f], true where the draft says so.
        counted: bool [n, f], true where the pair counts; truth and predicted are False elsewhere.
    """

    findings: tuple[str, ...]
    truth: Booleans
    predicted: Booleans
    counted: Booleans

    def coverage(self) -> dict[str, Value]:
        """Share of the studies whose pair counts, by finding."""
        n = self.counted.shape[0]
        return {
            finding: ratio(int(column.sum()), n, Reason.NO_CASES)
            for finding, column in zip(self.findings, self.counted.T, strict=True)
        }


def pairs(truth: LabelTable, predicted: LabelTable, policy: Policy) -> Pairs:
    """Bring two tables of the same studies and findings to binary pairs.

    Raises:
        EvaluationInputError: The tables differ in studies, findings or their order.
    """
    if truth.ids != predicted.ids or truth.findings != predicted.findings:
        raise EvaluationInputError(
            "truth and drafts must hold the same studies and findings in the same order"
        )
    truth_positive, truth_counted = _binary(truth.values, policy)
    predicted_positive, predicted_counted = _binary(predicted.values, policy)
    counted = truth_counted & predicted_counted
    return Pairs(truth.findings, truth_positive & counted, predicted_positive & counted, counted)


def _binary(values: NDArray[np.int8], policy: Policy) -> tuple[Booleans, Booleans]:
    """Return (positive, counted), bool [n, f] each."""
    positive = values == Label.POSITIVE
    counted = positive | (values == Label.NEGATIVE)
    for label, treatment in (
        (Label.UNCERTAIN, policy.uncertain),
        (Label.UNKNOWN, policy.unknown),
    ):
        here = values == label
        if treatment is not Treatment.EXCLUDE:
            counted = counted | here
        if treatment is Treatment.POSITIVE:
            positive = positive | here
    return positive, counted


def _unique(kind: str, names: Iterable[str]) -> None:
    names = tuple(names)
    if len(set(names)) != len(names):
        raise EvaluationInputError(f"a {kind} occurs twice in the table")
