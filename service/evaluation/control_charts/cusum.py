"""Bernoulli CUSUM charts of a rate, with a stated rate of false alarms.

S starts at 0; after each study S = max(0, S + w), w = ln(p1/p0) on an event, else
ln((1 - p1)/(1 - p0)). The chart signals at S >= limit and starts again at 0 (Reynolds and Stoumbos
1999). It is one-sided: a rise and a fall of the same rate need a chart each. The limit is found
for a required in-control average run length (ARL0), the mean number of studies between false alarms.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log
from typing import Final

import numpy as np
import scipy  # its sub-packages are imported when they are used, not at every start

from service.evaluation.proportions import wilson
from service.evaluation.values import Estimate, EvaluationInputError, Floats, checked_counts

# The two steps are brought to multiples of one lattice unit, the larger within this relative error.
_LATTICE_ERROR: Final = 3e-4
_LATTICE_PARTS: Final = 200
_LARGEST_LIMIT: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CusumDesign:
    """A chart.

    Attributes:
        p0: Rate in the reference period, between 0 and 1.
        p1: Rate to be detected, above p0 (a rise) or below it (a fall).
        limit: Value of S from which on the chart signals.
    """

    p0: float
    p1: float
    limit: float

    def __post_init__(self) -> None:
        _check_rates(self.p0, self.p1)
        if not 0 < self.limit <= _LARGEST_LIMIT:
            raise EvaluationInputError(f"limit must lie in 0 to {_LARGEST_LIMIT}, not {self.limit}")

    @property
    def event_step(self) -> float:
        """What S gains by a study with the event; negative for a fall."""
        return log(self.p1 / self.p0)

    @property
    def other_step(self) -> float:
        """What S gains by a study without the event; negative for a rise."""
        return log((1 - self.p1) / (1 - self.p0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CusumAlarm:
    """A signal.

    Attributes:
        index: The study at which S reached the limit, from 0.
        start: The first study after S was last 0: the best guess of when the rate changed.
        observed: Rate of events from `start` to `index`, with Wilson's interval. The interval ignores
            that the stretch was chosen for its rate: it describes and does not test.
    """

    index: int
    start: int
    observed: Estimate


@dataclass(frozen=True, slots=True)
class CusumPath:
    """S after each study, float64 [n], and the alarms; after an alarm S starts at 0 again."""

    values: Floats
    alarms: tuple[CusumAlarm, ...]


def wanted_run_length(*, charts: int, studies: float, false_alarms: float = 1.0) -> float:
    """Return ARL0 for so many false alarms of all charts together while so many studies are read.

    Args:
        charts: Number of one-sided charts that run side by side.
        studies: Studies in the period (a quarter), as each chart counts each study.
        false_alarms: Accepted number in the period.

    Raises:
        EvaluationInputError: A number is not positive.
    """
    checked_counts(charts=charts)
    if charts < 1 or studies <= 0 or false_alarms <= 0:
        raise EvaluationInputError("charts, studies and false_alarms must be above 0")
    return charts * studies / false_alarms


@lru_cache(maxsize=256)
def design_chart(p0: float, p1: float, run_length: float) -> CusumDesign:
    """Return the chart with the smallest limit whose ARL0 is at least `run_length` studies.

    Raises:
        EvaluationInputError: A rate lies outside 0 to 1, the rates are equal, or the run length is not
            reachable.
    """
    _check_rates(p0, p1)
    if run_length < 1:
        raise EvaluationInputError(f"run_length must be at least 1 study, not {run_length}")
    lattice = _lattice(p0, p1)
    low, high = 0, 1
    while _run_length(lattice, high, p0) < run_length:
        low, high = high, 2 * high
        if high * lattice.unit > _LARGEST_LIMIT:
            raise EvaluationInputError(f"no chart reaches a run length of {run_length} studies")
    while high - low > 1:
        middle = (low + high) // 2
        if _run_length(lattice, middle, p0) < run_length:
            low = middle
        else:
            high = middle
    # Half a unit below the lattice point: rounding of the steps then cannot miss a signal.
    return CusumDesign(p0=p0, p1=p1, limit=(high - 0.5) * lattice.unit)


def average_run_length(design: CusumDesign, rate: float) -> float:
    """Return the mean number of studies from S = 0 to the signal at a true rate.

    At p0 it is ARL0, at p1 the mean delay of detection. By the Markov chain of S on a lattice (Brook and
    Evans 1972); against simulation it is within 2 %.

    Raises:
        EvaluationInputError: The rate lies outside 0 to 1.
    """
    if not 0 < rate < 1:
        raise EvaluationInputError(f"rate must lie between 0 and 1, not {rate}")
    lattice = _lattice(design.p0, design.p1)
    return _run_length(lattice, ceil(design.limit / lattice.unit - 1e-9), rate)


def run_chart(design: CusumDesign, events: Iterable[bool]) -> CusumPath:
    """Run a chart over studies in the order of reading."""
    up, down, limit = design.event_step, design.other_step, design.limit
    values: list[float] = []
    alarms: list[CusumAlarm] = []
    total, start, count = 0.0, 0, 0
    for index, event in enumerate(events):
        if total == 0.0:
            start, count = index, 0
        count += bool(event)
        total = max(0.0, total + (up if event else down))
        values.append(total)
        if total >= limit:
            observed = wilson(count, index - start + 1)
            alarms.append(CusumAlarm(index=index, start=start, observed=observed))
            total = 0.0
    return CusumPath(np.array(values, dtype=np.float64), tuple(alarms))


@dataclass(frozen=True, slots=True)
class _Lattice:
    """The two steps in whole units: `rise` up, `fall` down; a rise on an event if `event_rises`."""

    unit: float
    rise: int
    fall: int
    event_rises: bool


def _lattice(p0: float, p1: float) -> _Lattice:
    event, other = abs(log(p1 / p0)), abs(log((1 - p1) / (1 - p0)))
    small, large = min(event, other), max(event, other)
    best = min(range(1, _LATTICE_PARTS), key=lambda parts: _misfit(small, large, parts))
    for parts in range(1, _LATTICE_PARTS):
        if _misfit(small, large, parts) < _LATTICE_ERROR:
            best = parts
            break
    unit = small / best
    event_parts, other_parts = round(event / unit), round(other / unit)
    if p1 > p0:
        return _Lattice(unit, event_parts, other_parts, event_rises=True)
    return _Lattice(unit, other_parts, event_parts, event_rises=False)


def _misfit(small: float, large: float, parts: int) -> float:
    unit = small / parts
    return abs(round(large / unit) * unit / large - 1)


@lru_cache(maxsize=4096)
def _run_length(lattice: _Lattice, states: int, rate: float) -> float:
    """Return the mean steps from state 0 to a state of at least `states`."""
    rising = rate if lattice.event_rises else 1 - rate
    places = np.arange(states)
    up = places[places + lattice.rise < states]
    rows = np.concatenate([places, up])
    columns = np.concatenate([np.maximum(places - lattice.fall, 0), up + lattice.rise])
    chances = np.concatenate([np.full(states, 1 - rising), np.full(up.size, rising)])
    chain = scipy.sparse.csc_array((chances, (rows, columns)), shape=(states, states))
    moves = scipy.sparse.eye_array(states, format="csc") - chain
    solved = scipy.sparse.linalg.spsolve(moves.tocsc(), np.ones(states))
    return float(np.atleast_1d(solved)[0])


def _check_rates(p0: float, p1: float) -> None:
    if not (0 < p0 < 1 and 0 < p1 < 1):
        raise EvaluationInputError(f"p0 and p1 must lie between 0 and 1, not {p0} and {p1}")
    if p0 == p1:
        raise EvaluationInputError("p0 and p1 are equal: there is no change to detect")
