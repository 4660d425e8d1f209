"""Make regions of findings valid for results: closed, inside the matrix, with an area."""

import math
from itertools import pairwise
from typing import Final

from dicom.content.report import Finding, Region, Side, SourceImage
from dicom.errors import InvalidOutput

Points = tuple[tuple[float, float], ...]

# Fraction of the image's width. A region that reaches this far beyond the middle shows that half, too:
# the outer half of a lung lies beyond this distance from the middle, the mediastinum within it.
_INTO_A_HALF: Final = 0.15


def closed_polygon(region: Region, image: SourceImage) -> Points | None:
    """Return the polygon of `region` inside the matrix of `image`, its last point equal to its first.

    Args:
        region: (column, row) points, sub-pixel, (0, 0) the corner of the top left pixel
            (PS3.3 C.18.6.1.2). Points outside the matrix are moved to its border, because a model's
            box may end a fraction of a pixel beyond the image.
        image: The image of the region.

    Returns:
        At least four points, or None if the polygon has no area inside the matrix.

    Raises:
        InvalidOutput: A coordinate is not a finite number.
    """
    if not all(math.isfinite(value) for point in region.points for value in point):
        raise InvalidOutput("a finding's region has a coordinate that is not a number")
    points = tuple(
        (min(max(x, 0.0), float(image.columns)), min(max(y, 0.0), float(image.rows)))
        for x, y in region.points
    )
    if points and points[0] != points[-1]:
        points = (*points, points[0])
    return points if len(points) >= 4 and _area(points) > 0 else None


def with_polygons(
    findings: tuple[Finding, ...], image: SourceImage
) -> list[tuple[Finding, Points]]:
    """Return the findings with a region on `image`, each with its closed polygon, in their order.

    A finding whose polygon has no area inside the matrix is left out (see `closed_polygon`).

    Raises:
        InvalidOutput: A coordinate is not a finite number.
    """
    pairs = [
        (finding, closed_polygon(finding.region, image)) for finding in findings if finding.region
    ]
    return [(finding, points) for finding, points in pairs if points is not None]


def shows_one_side(finding: Finding, columns: int) -> bool:
    """Return whether a bilateral finding's region shows one half of the image only.

    It does if it reaches less than 15 % of the image's width beyond the middle.

    Args:
        finding: Any finding; False if it is not bilateral or has no region.
        columns: Columns of the region's image.
    """
    if finding.side is not Side.BILATERAL or finding.region is None:
        return False
    across = [x / columns for x, _ in finding.region.points]
    return min(across) > 0.5 - _INTO_A_HALF or max(across) < 0.5 + _INTO_A_HALF


def whole_image(image: SourceImage) -> Points:
    """Return the closed rectangle through the centers of the outermost pixels of `image`."""
    right, bottom = image.columns - 0.5, image.rows - 0.5
    return ((0.5, 0.5), (right, 0.5), (right, bottom), (0.5, bottom), (0.5, 0.5))


def _area(points: Points) -> float:
    """Return the area in square pixels (shoelace formula)."""
    crosses = (x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(points))
    return abs(sum(crosses)) / 2
