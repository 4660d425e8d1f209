"""The patient's age by the attributes."""

import pytest

from dicom.selection.age import age_in_years
from tests.dicom.selection.headers import tags


@pytest.mark.parametrize(
    ("attributes", "years"),
    [
        ({"PatientAge": "034Y"}, 34),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "058"}, 58),
        ({"PatientBirthDate": "20100301", "StudyDate": "20200301"}, 10),
        ({"PatientAge": "", "PatientBirthDate": "19400305", "StudyDate": "20040826"}, 64.5),
        ({"PatientBirthDate": "20300101", "StudyDate": "20200301"}, None),
        ({"PatientBirthDate": "", "StudyDate": "20200301"}, None),
        ({"PatientBirthDate": "2019", "StudyDate": "20240301"}, 4.2),
        ({"PatientBirthDate": "201912", "StudyDate": "20240301"}, 4.2),
        ({"PatientBirthDate": "2019-12-31", "StudyDate": "20240301"}, 4.2),
        ({"PatientBirthDate": "2024", "StudyDate": "20240301"}, 0),
        ({"PatientAge": "040Y", "PatientBirthDate": "20190301", "StudyDate": "20240301"}, 5),
        ({"PatientAge": "004Y", "PatientBirthDate": "19500301", "StudyDate": "20240301"}, 4),
        ({"PatientAge": "000Y", "PatientBirthDate": "19411231", "StudyDate": "20240301"}, 82.2),
        ({"PatientAge": "000D", "PatientBirthDate": "19411231", "StudyDate": "20240301"}, 82.2),
        ({"PatientAge": "0", "PatientBirthDate": "1941", "StudyDate": "20240301"}, 82.2),
        ({"PatientAge": "000Y", "PatientBirthDate": "20190301", "StudyDate": "20240301"}, 5),
        ({"PatientAge": "000D", "PatientBirthDate": "20240301", "StudyDate": "20240301"}, 0),
        ({"PatientAge": "000Y", "PatientBirthDate": "20240901", "StudyDate": "20240301"}, 0),
        ({"PatientAge": "000Y", "PatientBirthDate": ""}, 0),
        ({"PatientAge": "001D", "PatientBirthDate": "19411231", "StudyDate": "20240301"}, 0),
        ({"PatientBirthDate": "20191399", "StudyDate": "20240301"}, None),
        ({"PatientAge": "old"}, None),
        ({}, None),
    ],
)
def test_age_is_the_least_that_the_tags_allow(attributes, years):
    """Patient's Age or birth date against study date, the younger of both; else unknown.

    An age of 0 is what modalities write for an unknown one: a birth date decides then.
    """
    found = age_in_years(tags(**attributes))
    assert found == (None if years is None else pytest.approx(years, abs=0.1))
