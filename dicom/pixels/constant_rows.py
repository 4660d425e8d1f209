"""Rows of one value: what a transfer that was cut off and filled up, or lost a block, leaves."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# A uniform lower edge of this share is noticed if the upper edge has not half as much: collimation is
# mostly symmetric, and what was cut off is not.
_LARGE: Final = 0.1
# A last row that begins where the one above it begins and ends so much earlier was cut off within.
_SAME: Final = 0.02
_SHORTER: Final = 0.05


# No film has uniform rows between others; a few may be a line that was drawn into it.
_HOLE: Final = 0.02
_FEW: Final = 8


def missing_rows(cells: NDArray[np.integer[Any]]) -> tuple[str, ...]:
    """Return notes where rows in the image or at its end are uniform without a reason.

    Args:
        cells: Integers [H, W], as they are written.
    """
    return (*_tail_notes(cells), *_hole_notes(cells))


def _hole_notes(cells: NDArray[np.integer[Any]]) -> tuple[str, ...]:
    """Return a note where uniform rows lie between others."""
    rows = np.flatnonzero(cells.min(axis=1) != cells.max(axis=1))
    if len(rows) < 2:
        return ()
    largest = int(np.diff(rows).max()) - 1
    if largest < max(_FEW, _HOLE * len(cells)):
        return ()
    return (
        f"{largest} rows within the picture are each of one value; a part of the image is missing.",
    )


def _tail_notes(cells: NDArray[np.integer[Any]]) -> tuple[str, ...]:
    """Return a note where the last pixels are all the same and collimation does not explain it."""
    filling = cells[-1, -1]
    if np.any(cells[-1] != filling):
        return ()
    rows = np.flatnonzero((cells != filling).any(axis=1))
    if len(rows) < 2:  # a blank image is refused elsewhere
        return ()
    top, last = int(rows[0]), int(rows[-1])
    below = len(cells) - 1 - last
    large = below >= _LARGE * len(cells) and below > 2 * top
    if not large and not _cut_within(cells[last - 1] != filling, cells[last] != filling):
        return ()
    note = (
        f"The last {100 * below / len(cells):.2g} % of the rows are all {filling or 'zero'}; if the "
        "film is not collimated there, a part of the image is missing."
    )
    return (note,)


def _cut_within(above: NDArray[np.bool_], last: NDArray[np.bool_]) -> bool:
    """Return whether a row's picture ends long before that of the row above, and begins with it."""
    before, own = np.flatnonzero(above), np.flatnonzero(last)
    if not len(before):
        return False
    begins = bool(own[0] - before[0] <= _SAME * len(last))
    return begins and bool(before[-1] - own[-1] > _SHORTER * len(last))
