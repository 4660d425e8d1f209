"""Detection of uniform rows, the trace of a transfer that was cut off and padded, or lost a block."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# A uniform lower edge of at least this share of the rows is reported if the uniform upper edge is less
# than half as high: collimation is mostly symmetric, truncation is not.
_LARGE: Final = 0.1
# The last row with content was cut off within if it begins where the row above begins (to this share of
# the width) and ends earlier by more than the second share.
_SAME: Final = 0.02
_SHORTER: Final = 0.05

# Radiographs have no uniform rows between others; a few may be a line drawn into the image.
_HOLE: Final = 0.02
_FEW: Final = 8


def missing_rows(cells: NDArray[np.integer[Any]]) -> tuple[str, ...]:
    """Return a note for uniform rows within the image, and one for those at its end, that seem missing.

    Args:
        cells: Integers [H, W], as stored.
    """
    return (*_tail_notes(cells), *_hole_notes(cells))


def _hole_notes(cells: NDArray[np.integer[Any]]) -> tuple[str, ...]:
    """Return a note if uniform rows lie between others."""
    rows = np.flatnonzero(cells.min(axis=1) != cells.max(axis=1))
    if len(rows) < 2:
        return ()
    largest = int(np.diff(rows).max()) - 1
    if largest < max(_FEW, _HOLE * len(cells)):
        return ()
    return (
        f"{largest} rows within the image are each of one value; a part of the image is missing.",
    )


def _tail_notes(cells: NDArray[np.integer[Any]]) -> tuple[str, ...]:
    """Return a note if the last rows are uniform and collimation does not explain it."""
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
        "image is not collimated there, a part of the image is missing."
    )
    return (note,)


def _cut_within(above: NDArray[np.bool_], last: NDArray[np.bool_]) -> bool:
    """Return whether the content of row `last` begins as in the row `above` and ends far earlier."""
    before, own = np.flatnonzero(above), np.flatnonzero(last)
    if not len(before):
        return False
    begins = bool(own[0] - before[0] <= _SAME * len(last))
    return begins and bool(before[-1] - own[-1] > _SHORTER * len(last))
