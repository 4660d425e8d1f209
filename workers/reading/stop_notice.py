"""What happens to a claimed job while drafting is stopped: a notice where one is configured."""

from typing import Final

from service.jobs import ReasonCode
from service.records.models import DraftingStop
from service.settings.config import Settings
from workers.reading.outcomes import NotAnalysed

_LATER: Final = "The study is read when drafting starts again."


def sends_notices(settings: Settings) -> bool:
    """Return whether any destination gets notices of studies that were not analyzed."""
    return any(each.not_analysed for each in settings.destinations)


def unread_by_stop(stop: DraftingStop) -> NotAnalysed:
    """Return the result of a study that is not read because drafting is stopped.

    The sentence goes to destinations, so it does not name the person.
    """
    sentence = f"Drafting is stopped at this site: {stop.reason.rstrip('.')}. {_LATER}"
    return NotAnalysed(code=ReasonCode.DRAFTING_STOPPED, sentence=sentence, not_read=())
