"""Whether a study that was not read is told of, and what is told."""

from datetime import datetime
from typing import Final

from dicom.errors import DicomError
from dicom.parsing.header import read_header
from dicom.reasons import Reason
from dicom.results.not_analysed import UnreadFilm, UnreadStudy, build_not_analysed
from dicom.results.result_file import Output
from dicom.study import Study
from service.log import get_logger
from service.records import Job
from service.settings.config import Settings
from workers.equipment import this_equipment
from workers.reading.reader import NotAnalysed

log = get_logger(__name__)

# Of our own results and of objects without a picture nobody expects a reading; telling of them could
# go round in a circle with a PACS that forwards what it gets.
_NOT_TOLD: Final = (Reason.OWN_RESULT.value, Reason.NO_IMAGE.value)


def is_told(result: NotAnalysed) -> bool:
    """Whether anybody expects a reading of what was not read."""
    return result.code not in _NOT_TOLD


def told_to(settings: Settings, result: NotAnalysed, earlier: Job | None) -> list[str]:
    """Return the destinations that want to hear that a study was not read.

    Args:
        settings: Each destination says whether it wants that.
        result: Why it was not read.
        earlier: The study's job whose draft stands; then there is a result, and nothing to tell.
    """
    if earlier is not None or not is_told(result):
        return []
    return [each.name for each in settings.destinations if each.not_analysed]


def notice(
    settings: Settings, study: Study, result: NotAnalysed, revision: int, produced_at: datetime
) -> tuple[Output, ...]:
    """Return the objects that tell of it; none when no film says whose study it is.

    Args:
        settings: Whether there is a page of it too, and which installation this is.
        study: What was not read.
        result: Why.
        revision: Of the reading, 1 for the first.
        produced_at: When that was found, an aware time.

    Raises:
        OSError: The installation's identity cannot be read.
    """
    reasons = {film.sop_instance_uid: film.reason for film in result.not_read}
    films = tuple(
        UnreadFilm(
            sop_instance_uid=instance.sop_instance_uid,
            sop_class_uid=instance.sop_class_uid,
            series_instance_uid=instance.series_instance_uid,
            reason=reasons.get(instance.sop_instance_uid, result.sentence),
        )
        for instance in study.instances
    )
    unread = UnreadStudy(
        study_instance_uid=study.study_instance_uid,
        films=films,
        reason=result.sentence,
        revision=revision,
        produced_at=produced_at,
    )
    return _built(settings, study, unread)


def _built(settings: Settings, study: Study, unread: UnreadStudy) -> tuple[Output, ...]:
    """Return the notice after the first film whose header can be copied."""
    equipment, page = this_equipment(settings), settings.outputs.not_analysed_page
    for instance in study.instances:
        try:
            header = read_header(instance.path, strict=False)
            return build_not_analysed(unread, header, equipment, page=page)
        except DicomError as error:
            log.warning("no_notice", study_uid=study.study_instance_uid, reason=str(error))
    return ()
