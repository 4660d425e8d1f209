"""Decides which destinations get a notice of a study that was not read, and builds the notice."""

from datetime import datetime
from typing import Final

from dicom.errors import DicomError
from dicom.parsing.header import read_header
from dicom.reasons import Reason
from dicom.results.not_analysed import UnreadImage, UnreadStudy, build_not_analysed
from dicom.results.result_file import Output
from dicom.study import Study
from service.log import get_logger
from service.records import Job
from service.settings.config import Settings
from workers.equipment import this_equipment
from workers.reading.outcomes import NotAnalysed

log = get_logger(__name__)

# A reading of our own results and of objects without pixels is never expected. A notice could start a
# loop with a PACS that forwards everything it receives.
_NO_NOTICE: Final = (Reason.OWN_RESULT.value, Reason.NO_IMAGE.value)


def expects_notice(result: NotAnalysed) -> bool:
    """Return whether a reading could be expected, so that a notice makes sense."""
    return result.code not in _NO_NOTICE


def notice_destinations(settings: Settings, result: NotAnalysed, earlier: Job | None) -> list[str]:
    """Return the names of the destinations that get a notice that a study was not read.

    Args:
        settings: `not_analysed` of each destination selects it.
        result: Why the study was not read.
        earlier: The job whose draft of the study stands, or None; with such a result, no notice is due.
    """
    if earlier is not None or not expects_notice(result):
        return []
    return [each.name for each in settings.destinations if each.not_analysed]


def notice(
    settings: Settings, study: Study, result: NotAnalysed, revision: int, produced_at: datetime
) -> tuple[Output, ...]:
    """Build the notice objects; return none if no Instance has a header that identifies the study.

    Args:
        settings: Whether the notice has a page too, and the installation's identity.
        study: The study that was not read.
        result: Why it was not read.
        revision: Revision of the reading, 1 for the first.
        produced_at: Time of the result, timezone-aware.

    Raises:
        OSError: The installation's identity cannot be read.
    """
    reasons = {each.sop_instance_uid: each.reason for each in result.not_read}
    images = tuple(
        UnreadImage(
            sop_instance_uid=instance.sop_instance_uid,
            sop_class_uid=instance.sop_class_uid,
            series_instance_uid=instance.series_instance_uid,
            reason=reasons.get(instance.sop_instance_uid, result.sentence),
        )
        for instance in study.instances
    )
    unread = UnreadStudy(
        study_instance_uid=study.study_instance_uid,
        images=images,
        reason=result.sentence,
        revision=revision,
        produced_at=produced_at,
    )
    return _built(settings, study, unread)


def _built(settings: Settings, study: Study, unread: UnreadStudy) -> tuple[Output, ...]:
    """Build the notice from the first header of the study that can be copied."""
    equipment, page = this_equipment(settings), settings.outputs.not_analysed_page
    for instance in study.instances:
        try:
            header = read_header(instance.path, strict=False)
            return build_not_analysed(unread, header, equipment, page=page)
        except DicomError as error:
            log.warning("no_notice", study_uid=study.study_instance_uid, reason=str(error))
    return ()
