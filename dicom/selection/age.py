"""The patient's age on the day of the exposure, as far as the attributes state it."""

import re
from calendar import monthrange
from datetime import date
from typing import Final

from pydicom.dataset import Dataset

_DAYS: Final = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25, "": 365.25}
_AGE: Final = re.compile(r"0*(\d{1,3})([DWMY]?)", re.IGNORECASE | re.ASCII)
# Many archives shorten a birth date to its year or month, which DA does not allow (PS3.5 6.2).
_DAY: Final = re.compile(r"(\d{4})[-.]?(?:(\d{2})[-.]?(?:(\d{2}))?)?", re.ASCII)
_OLDEST: Final = 130.0


def age_in_years(header: Dataset) -> float | None:
    """Return the lowest age in years at exposure that the attributes allow; None if they state none.

    Patient's Age (PS3.5 6.2, VR AS) without a unit is taken as years, as many archives of anonymized
    images write it. If age and birth date disagree, the lower age counts: to leave an adult's image
    unread costs less than to read a child's as an adult's. Modalities write age 0 for an unknown age:
    then the birth date counts if it is given.
    """
    stated, reckoned = _stated(header), _reckoned(header)
    if stated == 0 and reckoned is not None:
        return reckoned
    return min((age for age in (stated, reckoned) if age is not None), default=None)


def is_age_contradicted(header: Dataset) -> bool:
    """Return whether Patient's Age is 0 although the birth date gives one year or more."""
    reckoned = _reckoned(header)
    return _stated(header) == 0 and reckoned is not None and reckoned >= 1


def _stated(header: Dataset) -> float | None:
    stated = _AGE.fullmatch(str(header.get("PatientAge") or "").strip())
    if not stated:
        return None
    return _plausible(int(stated[1]) * _DAYS[stated[2].upper()] / 365.25)


def _reckoned(header: Dataset) -> float | None:
    birth = _last_day(header, "PatientBirthDate")
    for keyword in ("StudyDate", "AcquisitionDate", "ContentDate"):
        taken = _last_day(header, keyword)
        if birth and taken:
            # A birth date shortened to its year is taken as December 31, perhaps after the exposure.
            days = 0 if birth.year == taken.year else (taken - birth).days
            return _plausible(days / 365.25)
    return None


def _plausible(years: float) -> float | None:
    return years if 0 <= years <= _OLDEST else None


def _last_day(header: Dataset, keyword: str) -> date | None:
    """Return the last day that a date, perhaps without day or month, can mean."""
    found = _DAY.fullmatch(str(header.get(keyword) or "").strip())
    if not found:
        return None
    year, month = int(found[1]), int(found[2] or 12)
    try:
        day = int(found[3]) if found[3] else monthrange(year, month)[1]
        return date(year, month, day)
    except ValueError:
        return None
