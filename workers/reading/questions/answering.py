"""Answers a person's question about the image of a draft, with the model that wrote the draft."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from dicom.content.report import DraftReport
from dicom.study import Study
from service.errors import (
    LeaseLost,
    NotFound,
    ReaderStopped,
    ReadingCanceled,
    StoreError,
    StoreUnavailable,
)
from service.log import get_logger
from service.records import JobWithDraft
from service.review.decision import obstacle
from service.review.questions import (
    MOST_ATTEMPTS,
    Question,
    QuestionAnswer,
    QuestionFault,
    QuestionKind,
    answer_text,
)
from service.review.words import OBSTACLE_TEXT, Obstacle
from service.sentence import ended
from service.settings.config import Settings
from service.settings.keys.sections import Caller
from service.store import Store
from workers.labeller.report_language import fault_of_answer
from workers.labeller.sentences import clean
from workers.lease import Lease, retry_while_held
from workers.model.errors import GenerationError, PromptTooLong
from workers.model.profiles.profile import Ability
from workers.model.prompts import EarlierAnswer, Task
from workers.model.vlm import Answer
from workers.reading.abilities import lacks
from workers.reading.error_mapping import reading_errors
from workers.reading.image_selection import SelectedImage, rules_for
from workers.reading.outcomes import NotAnalysed
from workers.reading.reader import Reader
from workers.retry_policy import may_pass, sentence

log = get_logger(__name__)

_LEASE_SECONDS: Final = 15.0  # a person waits: a lost worker is noticed soon
_LOOK_SECONDS: Final = 0.5  # until a canceled question is noticed
_TASKS: Final = {
    QuestionKind.QUESTION: (Task.QUESTION, Ability.CHAT),
    QuestionKind.DIFFERENTIAL: (Task.DIFFERENTIAL, Ability.DIFFERENTIAL),
}


class NotAnswered(Exception):
    """The question has no answer; `fault` says why, `reason` in other words than the fault's own."""

    def __init__(self, fault: QuestionFault, reason: str = "") -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Given:
    """An answer, and how many earlier ones were in its prompt."""

    answer: Answer
    earlier: int


class Answering:
    """Answers the questions of a reading worker; its methods may be called from several threads."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        reader: Reader,
        owner: str,
        abandon: threading.Event,
        replace_process: Callable[[], None],
        callers: Callable[[str], Caller | None],
    ) -> None:
        """Set up the answering of one process.

        Args:
            store: The store.
            settings: The settings.
            reader: The reader with its loaded model.
            owner: This worker's name in its leases.
            abandon: Set when the process must end now: held questions are handed back.
            replace_process: Hands back what is held and ends the process, so that another starts.
            callers: Returns the settings of a calling AE title.
        """
        self._callers = callers
        self._store = store
        self._settings = settings
        self._reader = reader
        self._owner = owner
        self._abandon = abandon
        self._replace = replace_process
        self._working: set[str] = set()

    @property
    def in_hand(self) -> int:
        """Number of questions that are being answered."""
        return len(self._working)

    def claim(self, question_id: str) -> Question | None:
        """Claim a question and return it; None if it cannot be claimed."""
        try:
            return self._store.claim_question(
                question_id, self._owner, _LEASE_SECONDS, model=self._settings.model_name
            )
        except StoreUnavailable as error:
            log.warning("claim_failed", question_id=question_id, reason=str(error))
            return None

    def work(self, question: Question) -> None:
        """Answer a claimed question and store the answer.

        Raises:
            NotAnswered: There is no answer, and another attempt would have none.
            ReadingError, DicomError, StoreError, OSError: The model or the service failed.
            ReadingCanceled, LeaseLost: The question was canceled, or another worker holds it.
        """

        def extend() -> None:
            self._store.extend_question(question, _LEASE_SECONDS)

        lease = Lease(extend, _LEASE_SECONDS)
        lease.interval = _LOOK_SECONDS
        with lease.kept(), self._counted(question):
            answered = self._answer(question, lease)
            retry_while_held(lambda: self._store.answer_question(question, answered), lease)
        log.info("question_answered", question_id=question.id, job_id=question.job_id)

    def give_back(self, question: Question, error: Exception) -> None:
        """End the claim after `error`: the question waits for another attempt, or has no answer."""
        if isinstance(error, LeaseLost) or self._is_canceled(error):
            log.info("question_lost", question_id=question.id)
            return
        try:
            self._end(question, error)
        except StoreError as fault:
            # The lease expires by itself.
            log.warning("hand_back_failed", question_id=question.id, reason=str(fault))
        if isinstance(error, ReaderStopped):
            self._replace()

    def _is_canceled(self, error: Exception) -> bool:
        return isinstance(error, ReadingCanceled) and not self._abandon.is_set()

    def _end(self, question: Question, error: Exception) -> None:
        if self._abandon.is_set():
            message = "Its worker was stopped."
            self._store.hand_back_question(question, message, counted=False)
        elif isinstance(error, NotAnswered):
            log.info("question_not_answered", question_id=question.id, fault=error.fault.value)
            self._store.fail_question(question, error.fault, error.reason)
        elif may_pass(error) and question.attempts < MOST_ATTEMPTS:
            self._store.hand_back_question(question, sentence(error))
        else:
            message = f"The model failed: {ended(sentence(error))}"
            log.error("question_failed", question_id=question.id, reason=message)
            self._store.fail_question(question, QuestionFault.MODEL_FAILED, message)

    @contextmanager
    def _counted(self, question: Question) -> Iterator[None]:
        self._working.add(question.id)
        try:
            yield
        finally:
            self._working.discard(question.id)

    def _answer(self, question: Question, lease: Lease) -> QuestionAnswer:
        stopped = _Limit(lease, self._abandon, self._settings.questions.answer_seconds)
        job = self._store.job(question.job_id)
        self._check(question, job)
        image = self._image_of(question, job, stopped.passed)
        try:
            with reading_errors():
                given = self._given(question, image, stopped.passed)
        except ReadingCanceled:
            if stopped.is_over:
                raise NotAnswered(QuestionFault.TIMEOUT) from None
            raise
        identity = self._reader.identity_for(image.header)
        return QuestionAnswer(
            text=self._sensible(given.answer.text),
            model=identity.name,
            version=identity.version,
            weights_sha256=identity.weights_sha256,
            prompt_sha256=hashlib.sha256(given.answer.prompt.encode()).hexdigest(),
            earlier=given.earlier,
        )

    def _check(self, question: Question, job: JobWithDraft) -> None:
        """Check that this model may be asked about the job's draft."""
        found = obstacle(job)
        if found is Obstacle.REMOVED:
            raise NotAnswered(QuestionFault.IMAGE_REMOVED)
        if found is not None:
            raise NotAnswered(QuestionFault.DRAFT_NOT_VALID, OBSTACLE_TEXT[found])
        if job.draft is None or not self._wrote(job.draft):
            raise NotAnswered(QuestionFault.MODEL_CHANGED)
        if lacks(self._reader.checkpoint, _TASKS[question.kind][1]):
            raise NotAnswered(QuestionFault.CANNOT)

    def _wrote(self, draft: DraftReport) -> bool:
        """Return whether the model of this worker, in this version, wrote the draft."""
        own, its = self._reader.identity, draft.model
        return (own.name, own.version, own.weights_sha256) == (
            its.name,
            its.version,
            its.weights_sha256,
        )

    def _image_of(
        self, question: Question, job: JobWithDraft, canceled: Callable[[], bool]
    ) -> SelectedImage:
        """Return the image that the question is about."""
        try:
            study = self._store.study(question.study_instance_uid)
        except NotFound:
            raise NotAnswered(QuestionFault.IMAGE_REMOVED) from None
        chosen = [each for each in study.instances if each.sop_instance_uid == question.image]
        if not chosen or not chosen[0].path.exists():
            raise NotAnswered(QuestionFault.IMAGE_REMOVED)
        one = Study(study_instance_uid=study.study_instance_uid, instances=tuple(chosen))
        rules = rules_for(self._settings, self._callers(job.calling_ae))
        image = self._reader.selected(one, rules=rules, canceled=canceled)
        if isinstance(image, NotAnalysed):
            raise NotAnswered(QuestionFault.CANNOT, image.sentence)
        return image

    def _given(
        self, question: Question, image: SelectedImage, canceled: Callable[[], bool]
    ) -> _Given:
        """Return the model's answer, with as many earlier ones in its prompt as fit."""
        earlier = self._earlier(question)
        while True:
            try:
                return _Given(self._asked(question, image, earlier, canceled), len(earlier))
            except PromptTooLong:
                if not earlier:
                    raise
                earlier = earlier[1:]
            except GenerationError as error:
                raise NotAnswered(QuestionFault.MODEL_FAILED, _as_sentence(error)) from None

    def _earlier(self, question: Question) -> list[EarlierAnswer]:
        if lacks(self._reader.checkpoint, Ability.FOLLOW_UP):
            return []
        found = self._store.earlier_answers(question, self._settings.questions.earlier)
        return [
            EarlierAnswer(_TASKS[each.kind][0], each.text, each.answer.text)
            for each in found
            if each.answer is not None
        ]

    def _asked(
        self,
        question: Question,
        image: SelectedImage,
        earlier: Sequence[EarlierAnswer],
        canceled: Callable[[], bool],
    ) -> Answer:
        most = self._settings.questions.max_new_tokens
        decoding = self._reader.decoding
        return self._reader.model.answer(
            image.pixels,
            _TASKS[question.kind][0],
            question=question.text,
            earlier=earlier,
            decoding=replace(decoding, max_new_tokens=min(decoding.max_new_tokens, most)),
            urgent=True,
            canceled=canceled,
        )

    def _sensible(self, text: str) -> str:
        """Return an answer as it is stored."""
        answer = answer_text(clean(text))
        if not answer:
            raise NotAnswered(QuestionFault.EMPTY)
        # Random weights that are marked as such are not expected to write language.
        if not self._reader.checkpoint.meaningless and fault_of_answer(answer):
            raise NotAnswered(QuestionFault.NOT_LANGUAGE)
        return answer


class _Limit:
    """Determines when an answer must end: canceled, the process stops, or the time is over."""

    def __init__(self, lease: Lease, abandon: threading.Event, seconds: float) -> None:
        self._lease = lease
        self._abandon = abandon
        self._until = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the time is over, and nothing else ended the answer."""
        ended = self._lease.lost or self._abandon.is_set()
        return not ended and time.monotonic() >= self._until

    def passed(self) -> bool:
        """Return whether the answer must end; the engine calls it at each step."""
        return self._lease.lost or self._abandon.is_set() or time.monotonic() >= self._until


def _as_sentence(error: Exception) -> str:
    return f"The model refuses the question: {ended(str(error))}"
