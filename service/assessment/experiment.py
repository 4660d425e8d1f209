"""Prompts, temperatures and repeats compared: F1 with its spread, and how often labels flip.

A cell is one prompt at one temperature and top_p; every study is read in each cell, several times with
other seeds. A label flips where the repeats of a cell do not all say the same of a finding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from service.assessment.comparison import PairedComparison, SiteComparison, comparison
from service.assessment.figures import drafted_pairs, known_findings, together_of
from service.assessment.study_rows import StudyRow
from service.evaluation.agreement import gwet
from service.evaluation.classification import Rates, confusions, f1_summary, rates
from service.evaluation.labels import Label
from service.evaluation.values import (
    Booleans,
    Integers,
    Reason,
    Undefined,
    Value,
    mean_of_defined,
    ratio,
)

_STATES: Final = tuple(Label)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One setting of the experiment."""

    prompt: str
    temperature: float
    top_p: float

    @property
    def name(self) -> str:
        """The setting in words."""
        return f"{self.prompt}, temperature {self.temperature:g}, top_p {self.top_p:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellReading:
    """The labels of one study in one cell.

    Attributes:
        labels: By repeat, then by finding; what a repeat lacks is unknown.
        empty: How many repeats wrote no text.
        not_language: How many wrote something else than language.
    """

    labels: tuple[Mapping[str, Label], ...]
    empty: int = 0
    not_language: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over the repeats; the deviation is Undefined for one repeat."""

    mean: Value
    deviation: Value
    lowest: Value
    highest: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFigures:
    """The figures of one cell.

    Attributes:
        studies: Studies read in it.
        repeats: Repeats that every study has.
        mean_f1: Mean F1 of the findings together, over the repeats.
        micro_f1: Micro F1, over the repeats.
        flip_rate: Share of (study, finding) whose repeats differ.
        flips: The same by finding.
        agreement: Gwet's AC1 of the repeats.
        rates: Of the first repeat by finding.
        empty: Texts without a word.
        not_language: Texts that are no language; they count as silent.
    """

    studies: int
    repeats: int
    mean_f1: Spread
    micro_f1: Spread
    flip_rate: Value
    flips: dict[str, Value]
    agreement: Value
    rates: dict[str, Rates]
    empty: int
    not_language: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """All cells, and each prompt compared with the first at the first temperature.

    Attributes:
        complete: Whether each study was read in each cell.
        together_of: The findings of the mean F1.
        comparisons: By the name of the prompt: it minus the first prompt.
    """

    complete: bool
    seed: int
    together_of: tuple[str, ...]
    cells: dict[str, CellFigures]
    comparisons: dict[str, PairedComparison | SiteComparison]


Readings = Mapping[Cell, Mapping[str, CellReading]]


def experiment(
    rows: Sequence[StudyRow], readings: Readings, *, complete: bool, draws: int, seed: int
) -> Experiment:
    """Compute the figures.

    Args:
        rows: The truth of each study; what their drafts say is not used.
        readings: By cell and study id.
        complete: Whether each study was read in each cell.
        draws: Resamples of each interval.
        seed: Of the resampling.
    """
    ordered = sorted(rows, key=lambda row: row.id)
    findings = known_findings(ordered)
    return Experiment(
        complete=complete,
        seed=seed,
        together_of=together_of(findings),
        cells={cell.name: _cell(ordered, readings[cell], findings) for cell in readings},
        comparisons=_comparisons(ordered, readings, draws=draws, seed=seed),
    )


def _cell(
    rows: Sequence[StudyRow], readings: Mapping[str, CellReading], findings: Sequence[str]
) -> CellFigures:
    used = [row for row in rows if row.id in readings]
    repeats = min((len(readings[row.id].labels) for row in used), default=0)
    repeated = [_with_predictions(used, readings, repeat) for repeat in range(repeats)]
    names = together_of(findings)
    summaries = [f1_summary(confusions(drafted_pairs(each, names))) for each in repeated]
    states = _states(used, readings, names, repeats)
    flipped: Booleans = np.ptp(states, axis=2) > 0 if repeats else np.zeros((0, 0), np.bool_)
    first = confusions(drafted_pairs(repeated[0], findings)) if repeated else {}
    return CellFigures(
        studies=len(used),
        repeats=repeats,
        mean_f1=_spread([each.macro_defined for each in summaries]),
        micro_f1=_spread([each.micro for each in summaries]),
        flip_rate=ratio(int(flipped.sum()), flipped.size, Reason.NO_CASES),
        flips={
            name: ratio(int(column.sum()), column.size, Reason.NO_CASES)
            for name, column in zip(names, flipped.T, strict=False)
        },
        agreement=_agreement(states, repeats),
        rates={name: rates(counts) for name, counts in first.items()},
        empty=sum(readings[row.id].empty for row in used),
        not_language=sum(readings[row.id].not_language for row in used),
    )


def _with_predictions(
    rows: Sequence[StudyRow], readings: Mapping[str, CellReading], repeat: int
) -> list[StudyRow]:
    return [replace(row, predicted=readings[row.id].labels[repeat]) for row in rows]


def _states(
    rows: Sequence[StudyRow],
    readings: Mapping[str, CellReading],
    names: Sequence[str],
    repeats: int,
) -> Integers:
    """Return int64 [n, f, repeats]: the place of each label in `Label`."""
    states = np.zeros((len(rows), len(names), repeats), dtype=np.int64)
    for line, row in enumerate(rows):
        for repeat in range(repeats):
            labels = readings[row.id].labels[repeat]
            states[line, :, repeat] = [
                _STATES.index(labels.get(name, Label.UNKNOWN)) for name in names
            ]
    return states


def _agreement(states: Integers, repeats: int) -> Value:
    if repeats < 2 or not states.size:
        return Undefined(Reason.ONE_RATER)
    return gwet(states.reshape(-1, repeats), len(_STATES))


def _spread(values: Sequence[Value]) -> Spread:
    defined = [value for value in values if not isinstance(value, Undefined)]
    none = Undefined(Reason.NO_DEFINED_CLASS)
    alone = Undefined(Reason.NO_VARIANCE)
    return Spread(
        mean=mean_of_defined(values),
        deviation=float(np.std(defined, ddof=1)) if len(defined) > 1 else alone,
        lowest=min(defined) if defined else none,
        highest=max(defined) if defined else none,
    )


def _comparisons(
    rows: Sequence[StudyRow], readings: Readings, *, draws: int, seed: int
) -> dict[str, PairedComparison | SiteComparison]:
    """Compare the first repeat of each prompt with that of the first prompt, all else equal."""
    cells = list(readings)
    if not cells or not rows:
        return {}
    base = cells[0]
    others = [
        cell
        for cell in cells[1:]
        if (cell.temperature, cell.top_p) == (base.temperature, base.top_p)
    ]
    return {
        cell.prompt: comparison(
            _with_predictions([row for row in rows if row.id in readings[cell]], readings[cell], 0),
            _with_predictions([row for row in rows if row.id in readings[base]], readings[base], 0),
            base.prompt,
            draws=draws,
            seed=seed,
        )
        for cell in others
        if readings[cell] and readings[base]
    }
