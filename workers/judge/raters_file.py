"""Files with the counts of human raters, for `wetread judge --validate`.

Two forms: one row per pair with the columns `reference`, `candidate`, `rater1`, `rater2` … (totals) and
optionally `rater1_significant`, `rater1_insignificant` …; or ReXVal's
`6_valid_raters_per_rater_error_categories.csv`, one row per count, whose pairs are named
`STUDY_CANDIDATE` and whose texts come from another file.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from service.errors import ConfigurationError
from service.evaluation.values import Floats
from workers.judge.pairs import Pairs, csv_table, listed, need_columns, pairs_of

_REXVAL: Final = (
    "study_number",
    "candidate_type",
    "clinically_significant",
    "rater_index",
    "num_errors",
)
_RATER: Final = re.compile(r"rater[ _-]?([a-z0-9]+?)(?:_(significant|insignificant|total))?")
_TRUE: Final = frozenset({"true", "1", "1.0", "yes"})
_FALSE: Final = frozenset({"false", "0", "0.0", "no"})


class Sum(StrEnum):
    """Which errors a count adds up."""

    TOTAL = "total"
    SIGNIFICANT = "significant"
    INSIGNIFICANT = "insignificant"


@dataclass(frozen=True, slots=True)
class Ratings:
    """Counts of raters.

    Attributes:
        ids: The rated pairs.
        counts: For each sum that the file has, float64 [pairs, raters].
        pairs: The texts, None where the file has none.
    """

    ids: tuple[str, ...]
    counts: dict[Sum, Floats]
    pairs: Pairs | None


def read_ratings(path: Path) -> Ratings:
    """Return the counts of a raters' file.

    Raises:
        ConfigurationError: It is of neither form, or a count is missing or not a number of at least 0.
    """
    rows = csv_table(path)
    if rows and all(name in rows[0] for name in _REXVAL):
        return _one_row_a_count(path, rows)
    need_columns(path, rows, ())
    return _one_row_a_pair(path, rows)


def _one_row_a_pair(path: Path, rows: Sequence[Mapping[str, str]]) -> Ratings:
    named = [{"id": row.get("id") or f"pair-{number}", **row} for number, row in enumerate(rows, 1)]
    has_texts = all(name in rows[0] for name in ("reference", "candidate"))
    counts = {each: _matrix(path, rows, each) for each in Sum}
    found = {each: matrix for each, matrix in counts.items() if matrix is not None}
    parts = (found.get(Sum.SIGNIFICANT), found.get(Sum.INSIGNIFICANT))
    if Sum.TOTAL not in found and parts[0] is not None and parts[1] is not None:
        found[Sum.TOTAL] = parts[0] + parts[1]
    if Sum.TOTAL not in found:
        raise ConfigurationError(f"{path}: no columns rater1, rater2 … with each rater's total")
    pairs = pairs_of(named, str(path)) if has_texts else None
    return Ratings(tuple(row["id"] for row in named), found, pairs)


def _matrix(path: Path, rows: Sequence[Mapping[str, str]], which: Sum) -> Floats | None:
    """Return float64 [pairs, raters] of the columns of one sum, None where there are none."""
    matches = {name: _RATER.fullmatch(name) for name in rows[0]}
    columns = [
        name for name, match in matches.items() if match and (match[2] or Sum.TOTAL) == which
    ]
    if not columns:
        return None
    faults = [
        f"row {number}: {column} is {row[column][:20]!r}, not a number of at least 0"
        for number, row in enumerate(rows, 1)
        for column in columns
        if _number(row[column]) is None
    ]
    if faults:
        raise ConfigurationError(listed(f"{path}: the ratings cannot be used:", faults))
    return np.array([[_number(row[column]) for column in columns] for row in rows], np.float64)


def _one_row_a_count(path: Path, rows: Sequence[Mapping[str, str]]) -> Ratings:
    sums: dict[Sum, dict[tuple[str, str], float]] = {each: defaultdict(float) for each in Sum}
    for number, row in enumerate(rows, 1):
        count, flag = _number(row["num_errors"]), row["clinically_significant"].strip().lower()
        if count is None or flag not in _TRUE | _FALSE:
            raise ConfigurationError(
                f"{path}, row {number}: num_errors {row['num_errors'][:20]!r} or clinically_significant "
                f"{flag[:20]!r} is not usable"
            )
        place = (f"{row['study_number']}_{row['candidate_type']}", row["rater_index"])
        part = Sum.SIGNIFICANT if flag in _TRUE else Sum.INSIGNIFICANT
        for each in Sum:
            sums[each][place] += count if each in (Sum.TOTAL, part) else 0.0
    ids = tuple(dict.fromkeys(name for name, _ in sums[Sum.TOTAL]))
    raters = sorted({rater for _, rater in sums[Sum.TOTAL]})
    missing = [
        f"{name} by rater {r}" for name in ids for r in raters if (name, r) not in sums[Sum.TOTAL]
    ]
    if missing:
        raise ConfigurationError(listed(f"{path}: pairs without a rating:", missing))
    counts = {
        each: np.array([[sums[each][name, rater] for rater in raters] for name in ids], np.float64)
        for each in Sum
    }
    return Ratings(ids, counts, None)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
