"""Facts of decisions in columns: each is added once, and figures of any period take milliseconds.

`figures_by` computes the same figures from a list of facts; the tests compare the two.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from service.evaluation.proportions import wilson
from service.review.figures import DecisionFacts, Figures, Grouping, agreement, month_of
from service.review.words import Acceptability, FindingVerdict, Rejection, Verdict

_VERDICTS: Final = tuple(Verdict)
_REPORTS: Final = tuple(each.makes_report for each in Verdict)
_REJECTIONS: Final = tuple(Rejection)
_JUDGEMENTS: Final = tuple(FindingVerdict)
_NONE: Final = -1

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDecision:
    """A decision with its facts.

    Attributes:
        number: Counts the decisions on a draft; only the last that was not undone stands.
    """

    id: str
    job_id: str
    number: int
    reviewer_id: str
    facts: DecisionFacts


@dataclass(slots=True)
class _Names:
    """Numbers for names, in the order of their first use."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """Return the number of a name."""
        return self.numbers.setdefault(name, len(self.numbers))


def _ints() -> "array[int]":
    return array("q")


def _floats() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class _Columns:
    """One value of each decision; `_NONE` or NaN where it has none.

    Attributes:
        found: (decision, finding), flattened: what the draft states.
        judged: (decision, finding, verdict), flattened.
    """

    at: "array[float]" = field(default_factory=_floats)
    stands: "array[int]" = field(default_factory=_ints)
    reviewer: "array[int]" = field(default_factory=_ints)
    groups: dict[Grouping, "array[int]"] = field(default_factory=dict)
    verdict: "array[int]" = field(default_factory=_ints)
    rejection: "array[int]" = field(default_factory=_ints)
    step: "array[int]" = field(default_factory=_ints)
    distance: "array[float]" = field(default_factory=_floats)
    share: "array[float]" = field(default_factory=_floats)
    sentences: "array[int]" = field(default_factory=_ints)
    kept: "array[int]" = field(default_factory=_ints)
    seconds: "array[float]" = field(default_factory=_floats)
    found: "array[int]" = field(default_factory=_ints)
    judged: "array[int]" = field(default_factory=_ints)


_SINGLE: Final = (
    Grouping.ALL,
    Grouping.READER,
    Grouping.DEVICE,
    Grouping.MODEL,
    Grouping.MONTH,
)


class Chosen(TypedDict, total=False):
    """Which decisions are counted; all without a key, or where it is None.

    Attributes:
        since: Only those made at this time or later.
        until: Only those made before.
        reviewer_id: Only those of this person.
    """

    since: datetime | None
    until: datetime | None
    reviewer_id: str | None


class FigureTable:
    """The decisions known so far, and their figures; used by one thread at a time."""

    def __init__(self) -> None:
        self._columns = _Columns(groups={each: _ints() for each in _SINGLE})
        self._names = {each: _Names() for each in Grouping}
        self._reviewers = _Names()
        self._rows: dict[str, int] = {}
        self._jobs: dict[str, list[tuple[int, int]]] = {}
        self._job_of: dict[str, str] = {}
        self._undone: set[int] = set()
        self._made: Counter[Verdict] = Counter()
        self._arrays: _Arrays | None = None  # of the columns as they are now

    def __len__(self) -> int:
        """Return the number of decisions, undone and amended ones included."""
        return len(self._rows)

    @property
    def undone(self) -> int:
        """The number of decisions that were undone."""
        return len(self._undone)

    @property
    def made(self) -> dict[Verdict, int]:
        """The number of decisions by verdict, undone and amended ones included."""
        return {each: self._made[each] for each in Verdict}

    def add(self, decision: KnownDecision) -> None:
        """Add a decision; one that is known already is left out."""
        if decision.id in self._rows:
            return
        facts, columns, row = decision.facts, self._columns, len(self._rows)
        self._arrays = None
        self._rows[decision.id] = row
        self._made[facts.verdict] += 1
        columns.at.append(facts.at.timestamp())
        columns.stands.append(0)
        columns.reviewer.append(self._reviewers.number(decision.reviewer_id))
        names = (Grouping.ALL.value, facts.reader, facts.device, facts.model, month_of(facts.at))
        for grouping, name in zip(_SINGLE, names, strict=True):
            columns.groups[grouping].append(self._names[grouping].number(name))
        columns.verdict.append(_VERDICTS.index(facts.verdict))
        columns.rejection.append(_index(_REJECTIONS, facts.rejection))
        columns.step.append(_NONE if facts.acceptability is None else facts.acceptability.value)
        columns.distance.append(facts.distance)
        columns.share.append(np.nan if facts.share is None else facts.share)
        columns.sentences.append(facts.sentences)
        columns.kept.append(facts.kept)
        columns.seconds.append(facts.seconds)
        findings = self._names[Grouping.FINDING]
        for name in facts.positive:
            columns.found.extend((row, findings.number(name)))
        for name, verdict in facts.verdicts.items():
            columns.judged.extend((row, findings.number(name), _JUDGEMENTS.index(verdict)))
        self._jobs.setdefault(decision.job_id, []).append((decision.number, row))
        self._job_of[decision.id] = decision.job_id
        self._settle(decision.job_id)

    def undo(self, decision_id: str) -> None:
        """Note that a known decision was undone."""
        row = self._rows.get(decision_id)
        if row is not None and row not in self._undone:
            self._undone.add(row)
            self._arrays = None
            self._settle(self._job_of[decision_id])

    def _settle(self, job_id: str) -> None:
        """Note which decision on a draft stands: the last that was not undone."""
        rows = self._jobs[job_id]
        for _, row in rows:
            self._columns.stands[row] = 0
        standing = [each for each in rows if each[1] not in self._undone]
        if standing:
            self._columns.stands[max(standing)[1]] = 1

    def figures(self, grouping: Grouping, **chosen: Unpack[Chosen]) -> list[Figures]:
        """Return the figures of each group of the decisions that stand, sorted by name.

        Args:
            grouping: By what they are grouped.
            chosen: Only some of them.
        """
        arrays = self._arrays = self._arrays or _Arrays(self._columns)
        counted = arrays.stands.copy()
        if (since := chosen.get("since")) is not None:
            counted &= arrays.at >= since.timestamp()
        if (until := chosen.get("until")) is not None:
            counted &= arrays.at < until.timestamp()
        if (reviewer_id := chosen.get("reviewer_id")) is not None:
            counted &= arrays.reviewer == self._reviewers.numbers.get(reviewer_id, _NONE)
        view = _View(arrays, counted)
        groups = (
            view.by_finding() if grouping is Grouping.FINDING else view.by(arrays.groups[grouping])
        )
        names = {number: name for name, number in self._names[grouping].numbers.items()}
        is_finding = grouping is Grouping.FINDING
        found = [
            view.figures(names[number], rows, only=number if is_finding else None)
            for number, rows in groups.items()
        ]
        return sorted(found, key=lambda each: each.name)


class _Arrays:
    """The columns as arrays, `[decisions]` each; `found [n, 2]` and `judged [n, 3]`."""

    def __init__(self, columns: _Columns) -> None:
        self.at = np.array(columns.at)
        self.stands = np.array(columns.stands) == 1
        self.reviewer = np.array(columns.reviewer)
        self.groups = {each: np.array(column) for each, column in columns.groups.items()}
        self.verdict = np.array(columns.verdict)
        self.rejection = np.array(columns.rejection)
        self.step = np.array(columns.step)
        self.distance = np.array(columns.distance)
        self.share = np.array(columns.share)
        self.sentences = np.array(columns.sentences)
        self.kept = np.array(columns.kept)
        self.seconds = np.array(columns.seconds)
        self.found = np.array(columns.found, dtype=np.int64).reshape(-1, 2)
        self.judged = np.array(columns.judged, dtype=np.int64).reshape(-1, 3)


class _View:
    """The chosen decisions."""

    def __init__(self, arrays: _Arrays, chosen: NDArray[np.bool_]) -> None:
        self._arrays = arrays
        self._rows = np.flatnonzero(chosen)
        self._found = arrays.found[chosen[arrays.found[:, 0]]]
        self._judged = arrays.judged[chosen[arrays.judged[:, 0]]]

    def by(self, numbers: Ints) -> dict[int, Ints]:
        """Return the chosen rows by their group's number."""
        return _split(numbers[self._rows], self._rows)

    def by_finding(self) -> dict[int, Ints]:
        """Return the chosen rows by each finding that the draft states."""
        return _split(self._found[:, 1], self._found[:, 0])

    def figures(self, name: str, rows: Ints, *, only: int | None) -> Figures:
        """Return the figures of some rows; of one finding if `only` is its number."""
        arrays = self._arrays
        verdicts = np.bincount(arrays.verdict[rows], minlength=len(_VERDICTS))
        steps = _counted(arrays.step[rows], max(Acceptability) + 1)
        counts = {step.value: steps[step.value] for step in Acceptability}
        acceptable = sum(counts[step.value] for step in Acceptability if step.is_acceptable)
        judged = self._judgements(rows, only)
        reports = rows[np.array(_REPORTS)[arrays.verdict[rows]]]
        share = arrays.share[reports]
        sentences = int(arrays.sentences[reports].sum())
        rejections = _counted(arrays.rejection[rows], len(_REJECTIONS))
        agreed, disagreed, added = (
            judged[_JUDGEMENTS.index(each)]
            for each in (FindingVerdict.AGREE, FindingVerdict.DISAGREE, FindingVerdict.ADD)
        )
        accepted = int(verdicts[_VERDICTS.index(Verdict.ACCEPT)])
        return Figures(
            name=name,
            n=len(rows),
            verdicts={each.value: int(verdicts[n]) for n, each in enumerate(_VERDICTS)},
            steps=counts,
            acceptable=wilson(acceptable, sum(counts.values())),
            unchanged=wilson(accepted, len(rows)),
            agreement=agreement(agreed, agreed + disagreed, is_of_one_finding=only is not None),
            added=int(added.sum()),
            kept_sentences=int(arrays.kept[reports].sum()) / sentences if sentences else None,
            median_distance=_median(arrays.distance[reports]),
            median_share=_median(share[~np.isnan(share)]),
            median_seconds=_median(arrays.seconds[rows]),
            rejections={each.value: rejections[n] for n, each in enumerate(_REJECTIONS)},
        )

    def _judgements(self, rows: Ints, only: int | None) -> Ints:
        """Return int64 [verdicts, decisions]: how often each verdict occurs in each decision."""
        within = np.zeros(len(self._arrays.at), dtype=bool)
        within[rows] = True
        judged = self._judged[within[self._judged[:, 0]]]
        if only is not None:
            judged = judged[judged[:, 1] == only]
        decisions = len(within)
        cells = judged[:, 2] * decisions + judged[:, 0]
        counts = np.bincount(cells, minlength=len(_JUDGEMENTS) * decisions)
        return counts.reshape(len(_JUDGEMENTS), decisions)


def _split(numbers: Ints, rows: Ints) -> dict[int, Ints]:
    """Return the rows by number; `int64 [n]` both."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    values, starts = np.unique(ordered, return_index=True)
    parts = np.split(rows[order], starts[1:])
    return {int(value): part for value, part in zip(values, parts, strict=bool(len(values)))}


def _counted(values: Ints, size: int) -> list[int]:
    """Return how often each value from 0 to `size` - 1 occurs; `_NONE` is not counted."""
    counts: list[int] = np.bincount(values - _NONE, minlength=size + 1)[1:].tolist()
    return counts


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if len(values) else None


def _index(values: tuple[Any, ...], value: Any) -> int:  # noqa: ANN401 - an enum's member
    return _NONE if value is None else values.index(value)
