"""The files of notices about drafts, written once so that every destination gets the same bytes."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from dicom.content.output_kind import NoticeForm, OutputKind
from dicom.destinations.destination import EncodedObject
from dicom.parsing.header import read_header
from dicom.results.result_file import Output, encode
from dicom.spool.durable import write_durably
from service.records import ResultObject
from service.store import Store

_DOUBTS: Final = "in-doubt-"  # prefix of the file names of notices that a draft is in doubt
_ENDINGS: Final = {NoticeForm.DOCUMENT: ".dcm", NoticeForm.PAGE: "-page.dcm"}


def draft_report(store: Store, job_id: str) -> ResultObject | None:
    """Return the draft report of a job; None if there is none."""
    found = [item for item in store.objects(job_id) if item.kind == OutputKind.DRAFT_REPORT]
    return found[0] if found else None


def stored_notice(path: Path, report: Path, make: Callable[[Dataset], Output]) -> EncodedObject:
    """Return the notice in the file `path`; create the file if it is missing.

    Args:
        path: The file of the notice.
        report: The file of the draft report that the notice is about.
        make: Builds the notice from the header of the report.

    Raises:
        DicomError: The report or the notice cannot be read, or the notice cannot be built.
        OSError: A file cannot be read or written.
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


def notice_path(outbox: Path, job_id: str, digest: str, form: NoticeForm) -> Path:
    """Return the path of the notice that a draft is in doubt because of the copy with this digest."""
    return outbox.absolute() / job_id / f"{_DOUBTS}{digest[:16]}{_ENDINGS[form]}"


def withdrawal_path(outbox: Path, job_id: str, form: NoticeForm) -> Path:
    """Return the path of the notice that a draft is withdrawn."""
    return outbox.absolute() / job_id / f"withdrawn{_ENDINGS[form]}"


def doubt_uids(outbox: Path, job_id: str) -> list[str]:
    """Return the SOP Instance UIDs of the stored notices that a job's draft is in doubt.

    Raises:
        DicomError: A notice cannot be read.
    """
    paths = sorted((outbox / job_id).glob(f"{_DOUBTS}*.dcm"))
    return [str(read_header(path).SOPInstanceUID) for path in paths]
