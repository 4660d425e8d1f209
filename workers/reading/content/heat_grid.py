"""A heat map as a draft stores it: few cells of one byte, over the square that the model saw."""

import base64

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom.content.report import MOST_HEAT_CELLS, HeatGrid
from workers.model.vlm import HeatMap
from workers.reading.content.locating import central_square


def heat_grid(heat: HeatMap, rows: int, columns: int) -> HeatGrid | None:
    """Return a heat map for the draft of an image; None if no place is warmer than none.

    Args:
        heat: The map over the central square of the image.
        rows: Of the image.
        columns: Of the image.
    """
    cells = _bounded(heat.cells)
    highest = float(cells.max())
    if not highest > 0:
        return None
    shares = np.rint(cells.clip(min=0) * (255 / highest)).astype(np.uint8)
    square = central_square(rows, columns)
    return HeatGrid(
        edge=len(shares),
        cells=base64.b64encode(shares.tobytes()).decode(),
        left=square.left,
        top=square.top,
        size=square.edge,
    )


def _bounded(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return at most MOST_HEAT_CELLS cells along an edge; finer ones are averaged."""
    if len(cells) <= MOST_HEAT_CELLS:
        return cells
    image = Image.fromarray(np.ascontiguousarray(cells, np.float32))
    return np.asarray(image.resize((MOST_HEAT_CELLS, MOST_HEAT_CELLS), Image.Resampling.BOX))
