"""The files of notices about drafts: written once, so that every destination gets the same bytes."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset

from dicom.durable import write_durably
from dicom.header import read_header
from dicom.outputs import Output, encode
from dicom.pacs import EncodedObject
from service.records import ResultObject
from service.store import Store


def draft_report(store: Store, job_id: str) -> ResultObject | None:
    """Return the draft report of a job; None when none was made."""
    found = [item for item in store.objects(job_id) if item.kind == "draft-report"]
    return found[0] if found else None


def stored_notice(path: Path, report: Path, make: Callable[[Dataset], Output]) -> EncodedObject:
    """Return the notice in the file `path`, which is made where it is not there.

    Args:
        path: The notice.
        report: The draft report that it is about.
        make: Builds the notice from the header of the report.

    Raises:
        DicomError: The report cannot be read, or the notice not be built.
        OSError: The disk refused.
    """
    if not path.exists():
        write_durably(path, encode(make(read_header(report))))
    header = read_header(path)
    return EncodedObject(
        sop_class_uid=str(header.SOPClassUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        series_instance_uid=str(header.SeriesInstanceUID),
        study_instance_uid=str(header.StudyInstanceUID),
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
