"""Who the patients of studies are, for the pages of a person who is logged in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from service.records import JobWithDraft
from service.store import Store
from service.study_identity import StudyIdentity
from service.web.review.person_names import shown_name

_SEXES: Final = {"F": "female", "M": "male", "O": "other sex"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The patient of a study, "" for what the header does not state.

    Attributes:
        birth_date: YYYY-MM-DD.
        age: "63 years" at the study.
        sex: A word.
        fault: A sentence: why nothing is known.
    """

    name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    age: str = ""
    sex: str = ""
    accession: str = ""
    study_date: str = ""
    description: str = ""
    fault: str = ""

    @property
    def title(self) -> str:
        """The name, or what is known in place of it."""
        return self.name or self.patient_id or "Name not known"


_UNKNOWN: Final = Patient(fault="Patient and study are not known: the image was not read yet.")


def patients_of(store: Store, jobs: Iterable[JobWithDraft]) -> dict[str, Patient]:
    """Return the patients of jobs by job id."""
    listed = list(jobs)
    known = store.identities(job.study_instance_uid for job in listed)
    return {job.id: _patient(known.get(job.study_instance_uid)) for job in listed}


def patient_of(store: Store, study_uid: str) -> Patient:
    """Return the patient of a study."""
    return _patient(store.identity_of(study_uid))


def as_patient(found: StudyIdentity) -> Patient:
    """Return an identity as pages show it."""
    birth, study = dashed(found.birth_date), dashed(found.study_date)
    return Patient(
        name=shown_name(found.patient_name),
        patient_id=found.patient_id,
        birth_date=birth,
        age=_age(birth, study),
        sex=_SEXES.get(found.sex, ""),
        accession=found.accession_number,
        study_date=study,
        description=found.description,
    )


def dashed(value: str) -> str:
    """Return a DA value as YYYY-MM-DD; another text as it is."""
    if len(value) == 8 and value.isdigit():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value


def _patient(found: StudyIdentity | None) -> Patient:
    return as_patient(found) if found else _UNKNOWN


def _age(birth: str, at: str) -> str:
    """Return the age in years, in months below two years; "" if a date is missing or wrong."""
    try:
        birthday, day = date.fromisoformat(birth), date.fromisoformat(at)
    except ValueError:
        return ""
    months = (day.year - birthday.year) * 12 + day.month - birthday.month - (day.day < birthday.day)
    if months < 0:
        return ""
    return f"{months} months" if months < 24 else f"{months // 12} years"
