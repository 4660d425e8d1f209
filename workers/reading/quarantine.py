"""A result that the gate refused is kept beside its job with the reasons, for a person to look at."""

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
    """Keep the result that `error` speaks of, if it is one of the gate's, in `folder`.

    A disk that refuses does not hide the error: that is logged, and the job says why it failed anyway.

    Returns:
        Whether there was anything to keep.
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
        # What breaks rules may break the writer's too.
        log.warning("not_quarantined", reason=type(fault).__name__)
    return True


def _refused(error: BaseException | None) -> ValidationFailed | None:
    while error is not None:
        if isinstance(error, ValidationFailed):
            return error
        error = error.__cause__
    return None
