"""Body part and projection by codes, attributes and descriptions."""

import pytest

from dicom.selection.body_part_and_view import BodyPart, View, is_mirrored, region_of, view_of
from tests.dicom.selection.headers import code, tags


@pytest.mark.parametrize(
    ("attributes", "region"),
    [
        ({"AnatomicRegionSequence": code("816094009")}, BodyPart.CHEST),
        (
            {"AnatomicRegionSequence": code("1", "Knee"), "BodyPartExamined": "CHEST"},
            BodyPart.OTHER,
        ),
        ({"BodyPartExamined": "LUNG"}, BodyPart.CHEST),
        ({"BodyPartExamined": "RIB"}, BodyPart.NEAR_CHEST),
        ({"BodyPartExamined": "KNEE", "SeriesDescription": "Thorax"}, BodyPart.CONTRADICTORY),
        ({"ProtocolName": "Rippen links"}, BodyPart.NEAR_CHEST),
        ({"SeriesDescription": "klatka piersiowa"}, BodyPart.CHEST),
        ({"SeriesDescription": "ОГК"}, BodyPart.CHEST),
        ({"SeriesDescription": "BWS seitlich"}, BodyPart.OTHER),
        ({"SeriesDescription": "Image 1", "StudyDescription": "Röntgen Thorax"}, BodyPart.CHEST),
        ({"StudyDescription": "Hand"}, BodyPart.OTHER),
        ({}, BodyPart.NOT_STATED),
    ],
)
def test_the_most_reliable_source_decides(attributes, region):
    """Codes, Body Part Examined, series and protocol, then the study."""
    assert region_of(tags(**attributes)) is region


@pytest.mark.parametrize(
    ("attributes", "view"),
    [
        ({"ViewCodeSequence": code("399348003")}, View.AP),
        ({"ViewCodeSequence": code("x", "postero-anterior")}, View.PA),
        ({"ViewCodeSequence": code("272479007"), "ViewPosition": "LL"}, View.CONTRADICTORY),
        ({"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, View.CONTRADICTORY),
        ({"ViewPosition": "LL", "PatientOrientation": ["A", "F"]}, View.OTHER),
        ({"PatientOrientation": ["A", "F"]}, View.OTHER),
        ({"PatientOrientation": ["L", "F"]}, View.FRONTAL),
        ({"PatientOrientation": ["L", "R"]}, View.FRONTAL),
        ({"PatientOrientation": "L", "SeriesDescription": "Thorax p.a."}, View.PA),
        ({"SeriesDescription": "Chest PA and lateral"}, View.NOT_STATED),
        ({"SeriesDescription": "AP oblique"}, View.OTHER),
        ({"SeriesDescription": "Thorax DV"}, View.PA),
        ({"SeriesDescription": "Thorax VD"}, View.AP),
        ({"SeriesDescription": "poumons face"}, View.FRONTAL),
        ({}, View.NOT_STATED),
    ],
)
def test_codes_and_view_position_count_before_descriptions(attributes, view):
    """Sources that disagree about a frontal view are contradictory."""
    assert view_of(tags(**attributes)) is view


@pytest.mark.parametrize(
    ("directions", "expected"),
    [(["R", "F"], True), (["RH", "F"], True), (["L", "F"], False), ("R", False), (None, False)],
)
def test_an_image_is_mirrored_if_its_rows_run_to_the_patients_right(directions, expected):
    """PS3.3 C.7.6.1.1.1: the first value is the direction of the rows."""
    given = {} if directions is None else {"PatientOrientation": directions}
    assert is_mirrored(tags(**given)) is expected
