"""Heat maps: the share of each image token in a yes, and of each pixel if the tokens are coarse."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Where in the image a model saw what it says yes to. Both arrays cover the same square.

    Attributes:
        cells: float32 [G, G], 0 or more: the share of each image token in the yes.
        detail: float32 [S, S] over the model's input pixels: how much the contrast of each pixel with
            its surroundings favored the yes; negative if it opposed it. None if the cells are fine
            enough or memory was short.
    """

    cells: NDArray[np.float32]
    detail: NDArray[np.float32] | None = None
