"""Who the patient of a study is, according to the header of the image. Pure.

The one record with patient attributes in the database: it is removed with the images, and never logged,
measured or sent to the broker.
"""

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyIdentity:
    """Patient and study, each value as in the header; "" where it is absent (PS3.3 C.7.1.1, C.7.2.1).

    Attributes:
        patient_name: A PN value with its component groups (PS3.5 6.2.1).
        birth_date: DA, YYYYMMDD.
        study_date: DA, YYYYMMDD.
    """

    study_uid: str
    patient_name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    description: str = ""

    @property
    def searchable(self) -> str:
        """What a search by name, patient ID or accession number is compared with."""
        name = self.patient_name.replace("^", " ").replace("=", " ")
        return folded(" ".join((name, self.patient_id, self.accession_number)))


def folded(text: str) -> str:
    """Return a text without differences of case, width and spaces, for comparisons."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
