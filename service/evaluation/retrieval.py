"""Retrieval by vectors: from images to their reports and back, and from images to similar images.

All N candidates are ranked by cosine; equal cosines in the order of the candidates. R@k is the share of
queries whose partner is among the first k.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Final

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
    cosines = images.astype(np.float64) @ texts.astype(np.float64).T
    same_text = _equal([" ".join(text.split()) for text in reports])
    labeled = np.array([row for row, each in enumerate(labels) if each is not None], dtype=np.int64)
    same_labels = _equal([labels[row] for row in labeled])
    return Retrieval(
        pairs=count,
        repeated_texts=int((same_text.sum(1) > 1).sum()),
        chance={str(k): min(k / count, 1.0) for k in CUTS},
        chance_equal={str(k): _chance_equal(same_text.sum(1), k) for k in CUTS},
        labeled=len(labeled),
        label_chance=_share(same_labels),
        to_text=_direction(cosines, same_text, labeled, same_labels),
        to_image=_direction(cosines.T, same_text, labeled, same_labels),
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
    cosines = images.astype(np.float64) @ images.astype(np.float64).T
    np.fill_diagonal(cosines, -np.inf)
    same = _equal(labels)
    others = same.sum(1) - 1
    return ImageNeighbors(
        images=count,
        label_precision=_label_precision(_ordered(cosines)[:, : count - 1], same),
        chance=float((others / (count - 1)).mean()),
    )


def _chance_equal(texts: Integers, k: int) -> float:
    """Return the chance of a hit, from how many candidates have the text of each query's partner."""
    n = len(texts)
    drawn = min(k, n)
    return float(np.mean([1 - comb(n - int(m), drawn) / comb(n, drawn) for m in texts]))


def _direction(
    cosines: Floats, same_text: Booleans, labeled: Integers, same_labels: Booleans
) -> Direction:
    order = _ordered(cosines)
    queries = np.arange(len(order))
    is_partner = order == queries[:, None]
    ranks = is_partner.argmax(1) + 1
    is_equal = np.take_along_axis(same_text, order, 1)
    count = len(order)
    return Direction(
        recall={str(k): wilson(int((ranks <= k).sum()), count) for k in CUTS},
        recall_equal={str(k): wilson(int(is_equal[:, :k].any(1).sum()), count) for k in CUTS},
        median_rank=float(median(ranks.tolist())),
        label_precision=_label_precision(_ordered(cosines[np.ix_(labeled, labeled)]), same_labels),
    )


def _label_precision(order: Integers, same: Booleans) -> dict[str, Value]:
    hits = np.take_along_axis(same, order, 1)
    return {str(k): _share(hits[:, :k]) for k in CUTS}


def _share(hits: Booleans) -> Value:
    return float(hits.mean()) if hits.size else Undefined(Reason.NO_CASES)


def _ordered(cosines: Floats) -> Integers:
    """Return the candidates of each row, the closest first, equal ones in their order."""
    return np.argsort(-cosines, axis=1, kind="stable").astype(np.int64)


def _equal(values: Sequence[object]) -> Booleans:
    """Return a matrix [N, N]: which values are equal."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    codes = np.array([numbers[value] for value in values], dtype=np.int64)
    return np.asarray(codes[:, None] == codes[None, :])
