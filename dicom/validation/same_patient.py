"""The last check before a result is sent: result and image belong to the same patient and study.

Results are made from a decoded header. This module reads the identifiers again, from the encoded result
and from the stored Instance, so that a change by any step between the two is detected.
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
    """Check that results can have exactly the Patient ID of the Instance in `path`.

    Raises:
        InvalidDataset: They cannot, or the file cannot be read.
    """
    check_patient_id(_identifiers(path))


def check_result(encoded: bytes, sources: Sequence[Path]) -> None:
    """Check that an archive files a result with one of its source Instances.

    Args:
        encoded: The result as a PS3.10 file.
        sources: Files of the source Instances.

    Raises:
        ValidationFailed: The identifiers match none of the Instances, or `sources` is empty; the
            message names the attributes that differ from the last one.
        InvalidDataset: A file cannot be read.
    """
    result = read_encoded_header(encoded, only=_ASKED)
    found: tuple[ValidationFault, ...] = (
        ValidationFault("source", "no source image was given for the result"),
    )
    for path in sources:
        found = tuple(ValidationFault(*pair) for pair in filing_faults(result, _identifiers(path)))
        if not found:
            return
    raise ValidationFailed(read_encoded_header(encoded), found)


def _identifiers(path: Path) -> Dataset:
    return read_header(path, only=_ASKED, strict=False)
