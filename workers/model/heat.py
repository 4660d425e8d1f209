"""Where a model looked: how warm each of its film tokens is, and each pixel where tokens are coarse."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Where on its film a model saw what it says yes to. Both arrays lie over the same square.

    Attributes:
        cells: float32 [G, G], 0 or more: what was taken of each film token.
        detail: float32 [S, S], of each pixel that the model is shown: how much its difference from
            what is around it spoke for the yes, below 0 where against it. None where the cells are
            fine enough, or memory was short.
    """

    cells: NDArray[np.float32]
    detail: NDArray[np.float32] | None = None
