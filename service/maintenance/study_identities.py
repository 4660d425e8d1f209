"""Reads who the patient is from the header of each new study, soon after its first image arrived.

Not in the receiver: a sender waits for its answer there, and studies of earlier versions are read by the
same way.
"""

from pathlib import Path
from typing import Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom.errors import DicomError
from dicom.parsing.header import read_header
from service.store import Store
from service.study_identity import StudyIdentity

_KEYWORDS: Final = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "accession_number": "AccessionNumber",
    "study_date": "StudyDate",
    "description": "StudyDescription",
}
_TAGS: Final = frozenset(
    tag
    for tag in map(tag_for_keyword, ("SpecificCharacterSet", *_KEYWORDS.values()))
    if tag is not None
)
_BATCH: Final = 200
# PostgreSQL commits row ids out of order: those of slower transactions are read again.
_OVERLAP: Final = 200


class StudyIdentityReader:
    """Records the identity of studies that have none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position: int | None = None
        self._unreadable: set[int] = set()

    def record_new(self) -> None:
        """Read the headers of the next Instances of unknown studies.

        Raises:
            StoreUnavailable: The database cannot be used now; the next call continues from there.
        """
        if self._position is None:
            self._position = self._store.newest_identified()
        after = max(0, self._position - _OVERLAP)
        found = self._store.instances_to_identify(after, _BATCH + _OVERLAP)
        known: set[str] = set()
        for number, study_uid, path in found:
            if path is not None and study_uid not in known and number not in self._unreadable:
                if self._record(number, study_uid, path):
                    known.add(study_uid)
                else:
                    self._unreadable.add(number)
            self._position = max(self._position, number)
        self._unreadable = {
            each for each in self._unreadable if each > self._position - 2 * _OVERLAP
        }

    def _record(self, number: int, study_uid: str, path: Path) -> bool:
        header = _header(path)
        if header is None:
            return False
        values = {name: _text(header, keyword) for name, keyword in _KEYWORDS.items()}
        self._store.record_identity(StudyIdentity(study_uid=study_uid, **values), number)
        return True


def _header(path: Path) -> Dataset | None:
    try:
        return read_header(path, only=_TAGS, strict=False)
    except (DicomError, OSError):
        return None


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return "" if value is None else str(value)
