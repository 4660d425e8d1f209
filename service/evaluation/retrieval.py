"""Retrieval by vectors: from images to their reports and back, and from images to similar images.

All N candidates are ranked by cosine; equal cosines in the order of the candidates. R@k is the share of
queries whose partner is among the first k. The cosines are computed for a block of queries at a time, so
that memory grows with N and not with its square.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from service.evaluation.proportions import wilson
from service.evaluation.values import (
    Booleans,
    Estimate,
    EvaluationInputError,
    Floats,
    Integers,
    Reason,
    Undefined,
    Value,
)

CUTS: Final = (1, 5, 10)
FEWEST: Final = 2
_DIGITS: Final = 12
_BLOCK_COSINES: Final = 1 << 21  # 16 MB as float64

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """Retrieval in one direction; the keys are k.

    Attributes:
        recall: R@k, only the partner counts.
        recall_equal: R@k, where a candidate whose text equals the partner's counts too.
        median_rank: Of the partner, from 1.
        label_precision: Mean share of the first k that have the same positive findings as the query, of
            the pairs with labels among each other; the partner counts too.
    """

    recall: dict[str, Estimate]
    recall_equal: dict[str, Estimate]
    median_rank: float
    label_precision: dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Retrieval between images and their reports.

    Attributes:
        pairs: N.
        repeated_texts: Pairs whose text another pair has too.
        chance: k/N by k.
        chance_equal: By k: mean probability that k random candidates hold the partner's text.
        labeled: Pairs with labels.
        label_chance: Mean share of the pairs with labels that have the same positive findings.
    """

    pairs: int
    repeated_texts: int
    chance: dict[str, float]
    chance_equal: dict[str, float]
    labeled: int
    label_chance: Value
    to_text: Direction
    to_image: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNeighbors:
    """Label precision of the images that are closest to each image.

    Attributes:
        images: N.
        label_precision: By k: mean share of the k closest other images with the same positive findings.
        chance: The mean share of all other images with the same positive findings.
    """

    images: int
    label_precision: dict[str, Value]
    chance: float


def retrieval(
    images: Vectors,
    texts: Vectors,
    reports: Sequence[str],
    labels: Sequence[frozenset[str] | None],
) -> Retrieval:
    """Return the figures of pairs of image and report.

    Args:
        images: float32 [N, D], of length 1.
        texts: float32 [N, D], of length 1, of the reports.
        reports: The texts: equal ones count as hits in `recall_equal`.
        labels: The positive findings of each study; None if not all are known.

    Raises:
        EvaluationInputError: The numbers differ, or there are fewer than two pairs.
    """
    count = len(images)
    if {count} != {len(texts), len(reports), len(labels)} or count < FEWEST:
        raise EvaluationInputError("images, texts, reports and labels: equal numbers, two or more")
    same_text = _Groups.of([" ".join(text.split()) for text in reports])
    labeled = np.array([row for row, each in enumerate(labels) if each is not None], dtype=np.int64)
    same_labels = _Groups.of([labels[row] for row in labeled])
    return Retrieval(
        pairs=count,
        repeated_texts=int((same_text.sizes > 1).sum()),
        chance={str(k): min(k / count, 1.0) for k in CUTS},
        chance_equal={str(k): _chance_equal(same_text.sizes, k) for k in CUTS},
        labeled=len(labeled),
        label_chance=same_labels.share,
        to_text=_direction(images, texts, same_text, labeled, same_labels),
        to_image=_direction(texts, images, same_text, labeled, same_labels),
    )


def image_neighbors(images: Vectors, labels: Sequence[frozenset[str]]) -> ImageNeighbors:
    """Return the label precision of the closest other images.

    Args:
        images: float32 [N, D], of length 1.
        labels: The positive findings of each.

    Raises:
        EvaluationInputError: The numbers differ, or there are fewer than two images.
    """
    count = len(images)
    if count != len(labels) or count < FEWEST:
        raise EvaluationInputError("images and labels: equal numbers, two or more")
    same = _Groups.of(labels)
    first = ranked(images, images, is_self=True).first
    return ImageNeighbors(
        images=count,
        label_precision=_label_precision(first, same),
        chance=float(((same.sizes - 1) / (count - 1)).mean()),
    )


@dataclass(frozen=True, slots=True)
class Ranked:
    """The candidates of each query, the closest first, equal cosines in the order of the candidates.

    Attributes:
        first: int64 [N, at most 10], the closest candidates.
        ranks: int64 [N], the place of the candidate with the query's own number, from 1.
    """

    first: Integers
    ranks: Integers


def ranked(
    queries: Vectors, candidates: Vectors, *, is_self: bool = False, block: int = 0
) -> Ranked:
    """Rank all candidates for each query.

    Cosines are compared at 12 digits after the point: sums in another order differ in later ones.

    Args:
        queries: float32 [N, D], of length 1.
        candidates: float32 [N, D], of length 1.
        is_self: Whether both are the same vectors: a query is then not its own candidate.
        block: Queries whose cosines are in memory at once; by default by `_BLOCK_COSINES`.
    """
    count = len(queries)
    cut = min(max(CUTS), count - is_self)
    first, ranks = np.empty((count, cut), dtype=np.int64), np.empty(count, dtype=np.int64)
    every = candidates.T.astype(np.float64)
    rows = block or max(1, _BLOCK_COSINES // max(count, 1))
    for start in range(0, count, rows):
        own = np.arange(start, min(start + rows, count))
        cosines = np.round(queries[own].astype(np.float64) @ every, _DIGITS)
        ranks[own] = _ranks(cosines, own)
        if is_self:
            cosines[own - start, own] = -np.inf
        first[own] = _first(cosines, cut)
    return Ranked(first, ranks)


def _ranks(cosines: Floats, own: Integers) -> Integers:
    """Return the rank of candidate own[i] in row i, from 1."""
    partner = cosines[np.arange(len(own)), own][:, None]
    is_before = np.arange(cosines.shape[1]) < own[:, None]
    return np.asarray(1 + ((cosines > partner) | ((cosines == partner) & is_before)).sum(1))


def _first(cosines: Floats, cut: int) -> Integers:
    """Return int64 [rows, cut]: the closest candidates; their cosines are overwritten."""
    found = np.empty((len(cosines), cut), dtype=np.int64)
    rows = np.arange(len(cosines))
    for place in range(cut):
        found[:, place] = cosines.argmax(1)  # the first of equal ones
        cosines[rows, found[:, place]] = -np.inf
    return found


@dataclass(frozen=True, slots=True)
class _Groups:
    """Which of N values are equal, without a matrix [N, N].

    Attributes:
        codes: int64 [N], equal for equal values.
        sizes: int64 [N], how many values equal each one, itself included.
    """

    codes: Integers
    sizes: Integers

    @classmethod
    def of(cls, values: Sequence[object]) -> Self:
        """Return the groups of values."""
        numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
        codes = np.array([numbers[value] for value in values], dtype=np.int64)
        return cls(codes, np.bincount(codes, minlength=1)[codes])

    @property
    def share(self) -> Value:
        """The share of equal pairs of all N x N."""
        n = len(self.codes)
        return float(self.sizes.sum() / n**2) if n else Undefined(Reason.NO_CASES)

    def equal(self, first: Integers) -> Booleans:
        """Return bool [N, k]: which candidates int64 [N, k] have the value of their query."""
        return np.asarray(self.codes[first] == self.codes[:, None])


def _chance_equal(texts: Integers, k: int) -> float:
    """Return the chance of a hit, from how many candidates have the text of each query's partner."""
    n = len(texts)
    drawn = min(k, n)
    sizes, queries = np.unique(texts, return_counts=True)
    chances = [1 - comb(n - size, drawn) / comb(n, drawn) for size in sizes.tolist()]
    return float(np.dot(chances, queries) / n)


def _direction(
    queries: Vectors,
    candidates: Vectors,
    same_text: _Groups,
    labeled: Integers,
    same_labels: _Groups,
) -> Direction:
    count = len(queries)
    found = ranked(queries, candidates)
    is_equal = same_text.equal(found.first)
    # Among each other: pairs without labels are no candidates.
    among = found if len(labeled) == count else ranked(queries[labeled], candidates[labeled])
    return Direction(
        recall={str(k): wilson(int((found.ranks <= k).sum()), count) for k in CUTS},
        recall_equal={str(k): wilson(int(is_equal[:, :k].any(1).sum()), count) for k in CUTS},
        median_rank=float(median(found.ranks.tolist())),
        label_precision=_label_precision(among.first, same_labels),
    )


def _label_precision(first: Integers, same: _Groups) -> dict[str, Value]:
    hits = same.equal(first)
    return {str(k): _share(hits[:, :k]) for k in CUTS}


def _share(hits: Booleans) -> Value:
    return float(hits.mean()) if hits.size else Undefined(Reason.NO_CASES)
