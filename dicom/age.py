"""How old a patient was on the day of the film, as far as the tags say."""

import re
from datetime import date, datetime
from typing import Final

from pydicom.dataset import Dataset

_DAYS: Final = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25, "": 365.25}
_AGE: Final = re.compile(r"0*(\d{1,3})([DWMY]?)", re.IGNORECASE | re.ASCII)
_OLDEST: Final = 130.0


def age_in_years(header: Dataset) -> float | None:
    """Return the patient's age on the day of the film in years, or None when it is not said.

    Patient's Age (PS3.5 6.2, VR AS) comes first; without its unit it is taken as years, as many
    archives of anonymised films write it. Otherwise birth date and study date give it.
    """
    stated = _AGE.fullmatch(str(header.get("PatientAge") or "").strip())
    if stated:
        return _plausible(int(stated[1]) * _DAYS[stated[2].upper()] / 365.25)
    born = _day(header, "PatientBirthDate")
    for keyword in ("StudyDate", "AcquisitionDate", "ContentDate"):
        taken = _day(header, keyword)
        if born and taken:
            return _plausible((taken - born).days / 365.25)
    return None


def _plausible(years: float) -> float | None:
    return years if 0 <= years <= _OLDEST else None


def _day(header: Dataset, keyword: str) -> date | None:
    try:
        return datetime.strptime(str(header.get(keyword) or "").strip(), "%Y%m%d").date()  # noqa: DTZ007 - DA has no zone
    except ValueError:
        return None
