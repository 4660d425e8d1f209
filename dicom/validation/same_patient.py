"""The last check before a result leaves: its file and its image belong to the same patient and study.

The results are made from a decoded header. Here the identifiers are read once more, from the encoded
result and from the stored Instance, so that no step between the two can have changed one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydicom.datadict import keyword_dict
from pydicom.dataset import Dataset

from dicom.content.patient_study import check_patient_id
from dicom.exact_text import ENCODED_TAGS
from dicom.parsing.header import read_encoded_header, read_header
from dicom.validation.result_object import ValidationFailed, ValidationFault
from dicom.validation.source_image import filing_faults

_ASKED: Final = ENCODED_TAGS | {keyword_dict["StudyInstanceUID"]}


def check_source(path: Path) -> None:
    """Return when results of the Instance in `path` may carry its Patient ID.

    Raises:
        InvalidDataset: They could not carry exactly the same, or the file cannot be read.
    """
    check_patient_id(_identifiers(path))


def check_result(encoded: bytes, sources: Sequence[Path]) -> None:
    """Return when an archive files a result as it files one of the Instances it is about.

    Args:
        encoded: The result as a PS3.10 file.
        sources: Files of the Instances.

    Raises:
        FailedGate: Its identifiers are not those of any of them; names the attributes.
        InvalidDataset: A file cannot be read.
    """
    result = read_encoded_header(encoded, only=_ASKED)
    found: tuple[ValidationFault, ...] = (
        ValidationFault("source", "no image was named that the result is about"),
    )
    for path in sources:
        found = tuple(ValidationFault(*pair) for pair in filing_faults(result, _identifiers(path)))
        if not found:
            return
    raise ValidationFailed(read_encoded_header(encoded), found)


def _identifiers(path: Path) -> Dataset:
    return read_header(path, only=_ASKED, strict=False)
