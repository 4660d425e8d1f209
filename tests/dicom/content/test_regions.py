"""Regions become closed polygons inside the matrix."""

import math

import pytest

from dicom.content.regions import closed_polygon, shows_one_side, whole_image, with_polygons
from dicom.content.report import Finding, Observation, Presence, Region, Side, SourceImage
from dicom.errors import InvalidOutput

IMAGE = SourceImage(
    sop_instance_uid="1.2",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
    series_instance_uid="1.3",
    rows=300,
    columns=200,
)


def region(*points):
    """Return a region."""
    return Region(points=points)


def finding(points=None, side=None):
    """Return a finding with a region or without."""
    return Finding(
        observation=Observation.PLEURAL_EFFUSION,
        presence=Presence.PRESENT,
        side=side,
        region=region(*points) if points else None,
    )


def test_a_polygon_is_closed_and_inside():
    """The first point is repeated; points beyond the matrix are moved to its border."""
    polygon = closed_polygon(region((-0.5, 10.0), (250.0, 10.0), (250.0, 400.0)), IMAGE)
    assert polygon == ((0.0, 10.0), (200.0, 10.0), (200.0, 300.0), (0.0, 10.0))


@pytest.mark.parametrize(
    "points",
    [
        ((1.0, 1.0), (5.0, 5.0)),
        ((1.0, 1.0), (5.0, 5.0), (9.0, 9.0)),
        ((-9.0, 1.0), (-5.0, 1.0), (-5.0, 9.0)),
        (),
    ],
)
def test_a_region_without_area_has_no_polygon(points):
    """A line, and what lies outside of the matrix."""
    assert closed_polygon(region(*points), IMAGE) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_coordinate_that_is_no_number_is_an_error(value):
    """It is not moved to the border."""
    with pytest.raises(InvalidOutput, match="not a number"):
        closed_polygon(region((value, 1.0), (5.0, 5.0), (1.0, 5.0)), IMAGE)


def test_findings_with_a_polygon_keep_their_order():
    """Findings without a region, or with one without area, are left out."""
    box = ((1.0, 1.0), (9.0, 1.0), (9.0, 9.0))
    given = (finding(box), finding(), finding(((1.0, 1.0), (2.0, 2.0))), finding(box))
    assert [each for each, _ in with_polygons(given, IMAGE)] == [given[0], given[3]]


@pytest.mark.parametrize(
    ("left", "right", "side", "expected"),
    [
        (10.0, 90.0, Side.BILATERAL, True),
        (110.0, 190.0, Side.BILATERAL, True),
        (10.0, 128.0, Side.BILATERAL, True),
        (60.0, 140.0, Side.BILATERAL, False),
        (10.0, 190.0, Side.BILATERAL, False),
        (10.0, 90.0, Side.LEFT, False),
    ],
)
def test_a_bilateral_finding_whose_region_shows_one_half(left, right, side, expected):
    """Less than 15 % of the width beyond the middle is one half."""
    points = ((left, 1.0), (right, 1.0), (right, 9.0))
    assert shows_one_side(finding(points, side), 200) is expected


def test_the_whole_image_goes_through_the_outer_pixel_centers():
    """PS3.3 C.18.6.1.2: (0.5, 0.5) is the center of the first pixel."""
    assert whole_image(IMAGE) == (
        (0.5, 0.5),
        (199.5, 0.5),
        (199.5, 299.5),
        (0.5, 299.5),
        (0.5, 0.5),
    )
