"""What is due with questions about images: take back, give up, publish."""

from collections.abc import Callable
from datetime import datetime, timedelta

from service.errors import BrokerUnavailable
from service.log import get_logger
from service.settings.config import Settings
from service.store import Store

log = get_logger(__name__)


class QuestionSweep:
    """Lets questions of lost workers wait again, gives up old ones, publishes the others."""

    def __init__(
        self, store: Store, settings: Settings, publish: Callable[[str, str], None]
    ) -> None:
        """Take the store, the settings, and what publishes a question's id to a model's workers."""
        self._store = store
        self._wait = timedelta(minutes=settings.questions.wait_minutes)
        self._again_after = timedelta(seconds=settings.sweep.republish_seconds)
        self._publish = publish

    def sweep(self, now: datetime) -> None:
        """Do once what is due now.

        Raises:
            StoreUnavailable: The database does not answer.
        """
        if not self._store.has_open_questions():
            return
        if count := self._store.take_back_questions():
            log.warning("questions_taken_back", count=count)
        if count := self._store.end_unanswered(now - self._wait):
            log.warning("questions_given_up", count=count)
        due = self._store.due_questions(now - self._again_after)
        # Marked first: a worker that hands a question back at once clears the mark.
        self._store.mark_questions_published([each.id for each in due], now)
        for number, question in enumerate(due):
            try:
                self._publish(question.id, question.model_name)
            except BrokerUnavailable as error:
                log.warning("publish_failed", reason=str(error))
                self._store.mark_questions_published([each.id for each in due[number:]], None)
                return
