"""A tail of zeros: what a transfer that was cut off and filled up leaves of an image."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# A black lower edge of this share is noticed if the upper edge has not half as much: collimation is
# mostly symmetric, and what was cut off is not.
_LARGE: Final = 0.1
# A last row that begins where the one above it begins and ends so much earlier was cut off within.
_SAME: Final = 0.02
_SHORTER: Final = 0.05


def tail_notes(cells: NDArray[np.integer[Any]]) -> tuple[str, ...]:
    """Return a note where the last pixels are all zero and collimation does not explain it.

    Args:
        cells: Integers [H, W], as they are written.
    """
    if cells[-1].any():
        return ()
    rows = np.flatnonzero(cells.any(axis=1))
    if len(rows) < 2:  # a blank image is refused elsewhere
        return ()
    top, last = int(rows[0]), int(rows[-1])
    below = len(cells) - 1 - last
    large = below >= _LARGE * len(cells) and below > 2 * top
    if not large and not _cut_within(cells[last - 1], cells[last]):
        return ()
    note = (
        f"The last {100 * below / len(cells):.2g} % of the rows are all zero; if the film is not "
        "collimated there, a part of the image is missing."
    )
    return (note,)


def _cut_within(above: NDArray[np.integer[Any]], last: NDArray[np.integer[Any]]) -> bool:
    """Return whether a row ends long before the one above it, though it begins where that begins."""
    before, own = np.flatnonzero(above), np.flatnonzero(last)
    if not len(before):
        return False
    begins = bool(own[0] - before[0] <= _SAME * len(last))
    return begins and bool(before[-1] - own[-1] > _SHORTER * len(last))
