"""Answers questions in an extra thread when no other thread is free, or when a message was lost."""

from datetime import timedelta
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from workers.reading.lane import Lane

log = get_logger(__name__)

_MESSAGE_LOST: Final = timedelta(seconds=3)


class QuestionLane(Lane):
    """An extra thread for questions about images."""

    task = "questions"
    look_seconds = 0.5

    def _look(self) -> None:
        try:
            before = None if self._busy() else self._store.now() - _MESSAGE_LOST
            question_id = self._store.next_question(self._model, before)
        except StoreError as error:
            log.debug("not_looked", reason=str(error))
            return
        if question_id is not None:
            self._work(question_id)
