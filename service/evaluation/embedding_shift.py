"""Whether image vectors of a window are distributed as those of the reference: MMD with permutations."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist, squareform

from service.evaluation.resampling import SwapTest
from service.evaluation.values import (
    Booleans,
    EvaluationInputError,
    Floats,
    Reason,
    Undefined,
)

PERMUTATIONS: Final = 199
# The kernel holds (n + m)^2 numbers; of larger samples so many rows are drawn.
LARGEST: Final = 1000


def embedding_shift(
    reference: ArrayLike,
    window: ArrayLike,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> SwapTest:
    """Compare two samples of vectors by the unbiased MMD^2 (Gretton 2012) with a permutation test.

    Kernel: exp(-d^2 / (2 s^2)), s the median distance of all pairs. p = (1 + k)/(permutations + 1),
    k the permutations of both samples with at least that MMD^2.

    Args:
        reference: float [m, k], one vector per study; drawn down to 1,000.
        window: float [n, k]; drawn down to 1,000.
        permutations: Number of permutations; 199 can show p of 0.005.
        seed: Of the random generator.

    Returns:
        `difference` is MMD^2, which is around 0, also below it, without a shift. Undefined with fewer
        than two vectors in a sample, or where all vectors are equal.

    Raises:
        EvaluationInputError: Vectors are of different lengths or not finite, or permutations below 1.
    """
    if permutations < 1:
        raise EvaluationInputError(f"permutations must be at least 1, not {permutations}")
    before, after = _checked(reference, "reference"), _checked(window, "window")
    if min(len(before), len(after)) < 2:
        return _undefined(Reason.NO_CASES)
    if before.shape[1] != after.shape[1]:
        raise EvaluationInputError(
            f"vectors must have equal lengths, not {before.shape[1]} and {after.shape[1]}"
        )
    generator = np.random.default_rng(seed)
    before, after = _at_most(before, generator), _at_most(after, generator)
    kernel = _kernel(np.concatenate([before, after]))
    if kernel is None:
        return _undefined(Reason.NO_VARIANCE)
    sides = np.arange(len(kernel)) < len(before)
    shuffled = np.stack([generator.permutation(sides) for _ in range(permutations)])
    observed = float(_mmd2(kernel, sides[np.newaxis])[0])
    # Rounding must not make the same partition differ from itself.
    as_large = int((_mmd2(kernel, shuffled) >= observed - 1e-12).sum())
    p = (1 + as_large) / (permutations + 1)
    return SwapTest(difference=observed, p=p, swaps=permutations, undefined=0)


def _mmd2(kernel: Floats, sides: Booleans) -> Floats:
    """Return the unbiased MMD^2 of each partition.

    Args:
        kernel: float64 [N, N] with a zero diagonal.
        sides: bool [p, N], true for the first sample.
    """
    first, second = sides.astype(np.float64), (~sides).astype(np.float64)
    n, m = first[0].sum(), second[0].sum()
    from_first, from_second = first @ kernel, second @ kernel
    within_first = (from_first * first).sum(axis=1) / (n * (n - 1))
    within_second = (from_second * second).sum(axis=1) / (m * (m - 1))
    between = (from_first * second).sum(axis=1) / (n * m)
    return np.asarray(within_first + within_second - 2 * between, dtype=np.float64)


def _kernel(vectors: Floats) -> Floats | None:
    """Return the kernel of all pairs with a zero diagonal, None where the median distance is 0."""
    distances = pdist(vectors)
    scale = float(np.median(distances))
    if scale == 0:
        return None
    return np.asarray(squareform(np.exp(-(distances**2) / (2 * scale**2))), dtype=np.float64)


def _at_most(vectors: Floats, generator: np.random.Generator) -> Floats:
    if len(vectors) <= LARGEST:
        return vectors
    return vectors[np.sort(generator.choice(len(vectors), LARGEST, replace=False))]


def _checked(vectors: ArrayLike, name: str) -> Floats:
    values = np.asarray(vectors, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise EvaluationInputError(f"{name} must be finite numbers [studies, length]")
    return values


def _undefined(reason: Reason) -> SwapTest:
    none = Undefined(reason)
    return SwapTest(difference=none, p=none, swaps=0, undefined=0)
