"""Keeps a result that failed validation, with the reasons, for inspection by a person."""

import json
from io import BytesIO
from pathlib import Path

from pydicom import dcmwrite

from dicom.results.result_file import as_file
from dicom.spool.durable import write_durably
from dicom.validation.result_object import ValidationFailed
from service.log import get_logger

log = get_logger(__name__)

OBJECT = "refused.dcm"
REASONS = "reasons.json"


def quarantine(folder: Path, error: BaseException) -> bool:
    """Keep the rejected result in `folder`, if `error` or a cause of it is ValidationFailed.

    A result that cannot be written is only logged: the job must still show `error` as its reason.

    Returns:
        Whether `error` is a failed validation.
    """
    refused = _refused(error)
    if refused is None:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reasons = [{"rule": each.rule, "reason": each.reason} for each in refused.faults]
        write_durably(folder / REASONS, json.dumps(reasons, indent=1).encode())
        buffer = BytesIO()
        dcmwrite(buffer, as_file(refused.dataset), enforce_file_format=True)
        write_durably(folder / OBJECT, buffer.getvalue())
    except (OSError, ValueError, TypeError, AttributeError) as fault:
        # An object that breaks our rules may be one that pydicom cannot write.
        log.warning("not_quarantined", reason=type(fault).__name__)
    return True


def _refused(error: BaseException | None) -> ValidationFailed | None:
    while error is not None:
        if isinstance(error, ValidationFailed):
            return error
        error = error.__cause__
    return None
