"""The studies of an evaluation and what is known of them before the model reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dicom.study import Study
from service.assessment.study_rows import Attribute


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One study to be read.

    Attributes:
        id: The Study Instance UID; of a picture the `id` of the list, or its path without suffix.
        keys: Names under which the truth may know it: UIDs, accession number, paths, file names.
        digest: Of its files, so that a changed file is noticed.
        study: Its DICOM Instances, or None.
        picture: Its PNG or JPEG file, or None.
        patient: The patient's identifier, "" if it is not stated; never written to the results.
        attributes: What the header, the list of studies or the service says.
        years: Age in years.
        calling_ae: From which the service received it, whose rules of selection apply; else "".
    """

    id: str
    keys: frozenset[str]
    digest: str
    study: Study | None = None
    picture: Path | None = None
    patient: str = ""
    attributes: Mapping[Attribute, str] = field(default_factory=dict)
    years: float | None = None
    calling_ae: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file that was given as a study and is none; `id` is its path in the folder."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What was given to be evaluated.

    Attributes:
        source: In words, for the report.
        cases: Studies, by id.
        unreadable: Files that cannot be read.
        passed_over: Other files that lie beside the studies.
    """

    source: str
    cases: tuple[Case, ...]
    unreadable: tuple[Unreadable, ...] = ()
    passed_over: int = 0
