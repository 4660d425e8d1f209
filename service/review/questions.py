"""Questions about the image of a draft, and the model's answers. Pure.

A question waits in the database, a worker of the model that wrote the draft claims it by its id, and
ends it once:

    WAITING ──claim──▶ ANSWERING ──▶ ANSWERED, FAILED
       ▲  └─────────┐      │ └──cancel──▶ CANCELED
       └─hand back──┼──────┘
                    └──cancel──▶ CANCELED;  no worker in time ──▶ FAILED
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.errors import InvalidReview
from service.review.decision import Reviewer

MOST_ATTEMPTS: Final = 2
# Control words of chat layouts: a text of a person must not act as a turn, nor as an image.
_CONTROL_WORDS: Final = re.compile(
    r"<[^<>\s]{1,40}>|<\||\[/?INST\]|<</?SYS>>|\b(?:USER|ASSISTANT):", re.IGNORECASE
)
_LINE_BREAKS: Final = "\n\r\t"


class QuestionKind(StrEnum):
    """What is asked."""

    QUESTION = "question"
    DIFFERENTIAL = "differential"


class QuestionState(StrEnum):
    """The state of a question; stored in `questions.state`."""

    WAITING = "WAITING"
    ANSWERING = "ANSWERING"
    ANSWERED = "ANSWERED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


OPEN: Final = frozenset({QuestionState.WAITING, QuestionState.ANSWERING})


class QuestionFault(StrEnum):
    """Why a question has no answer; stored in `questions.fault`."""

    NO_WORKER = "NO_WORKER"
    WORKER_LOST = "WORKER_LOST"
    MODEL_CHANGED = "MODEL_CHANGED"
    CANNOT = "CANNOT"
    IMAGE_REMOVED = "IMAGE_REMOVED"
    DRAFT_NOT_VALID = "DRAFT_NOT_VALID"
    TIMEOUT = "TIMEOUT"
    EMPTY = "EMPTY"
    NOT_LANGUAGE = "NOT_LANGUAGE"
    MODEL_FAILED = "MODEL_FAILED"
    STOPPED = "STOPPED"


FAULT_TEXT: Final = {
    QuestionFault.NO_WORKER: "No worker of the model took the question in time. Ask again when the "
    "model runs.",
    QuestionFault.WORKER_LOST: "The worker was lost twice while it answered. Tell an administrator, "
    "or ask something else.",
    QuestionFault.MODEL_CHANGED: "The model that wrote this draft is no longer in use. Have the study "
    "read again to ask the present model.",
    QuestionFault.CANNOT: "This model cannot answer that.",
    QuestionFault.IMAGE_REMOVED: "The image is no longer stored.",
    QuestionFault.DRAFT_NOT_VALID: "The draft was withdrawn, or is in doubt because another copy of its "
    "image arrived.",
    QuestionFault.TIMEOUT: "The model did not answer in time. Ask again, or ask a shorter question.",
    QuestionFault.EMPTY: "The model wrote no text. Ask in other words.",
    QuestionFault.NOT_LANGUAGE: "The model's answer is not language and is not shown. Ask in other "
    "words.",
    QuestionFault.MODEL_FAILED: "The model failed while it answered. Ask again.",
    QuestionFault.STOPPED: "An administrator has stopped drafting: the model answers no questions.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuestion:
    """A question that a person asks.

    Attributes:
        job_id: The job of the draft.
        key: Idempotency key of the request; a repetition finds the first question.
        text: The question; "" for a differential diagnosis.
    """

    job_id: str
    kind: QuestionKind
    text: str
    person: Reviewer
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAnswer:
    """A model's answer, as it is stored.

    Attributes:
        text: The answer.
        model: The model's own name.
        prompt_sha256: Digest of the whole prompt.
        earlier: Number of earlier questions and answers in the prompt.
    """

    text: str
    model: str
    version: str
    weights_sha256: str
    prompt_sha256: str
    earlier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A stored question.

    Attributes:
        image: SOP Instance UID of the image that it is about.
        model_name: Name in the settings of the model that answers.
        person_id: Id of the account of the person who asked.
        reason: A sentence: why there is no answer, or why it is tried again; or "".
        answer: None until the model has answered.
    """

    id: str
    study_instance_uid: str
    job_id: str
    image: str
    model_name: str
    kind: QuestionKind
    text: str
    person_id: str
    person: str
    state: QuestionState
    fault: QuestionFault | None
    reason: str
    answer: QuestionAnswer | None
    created_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None
    attempts: int
    fence: int

    @property
    def is_open(self) -> bool:
        """Whether an answer may still come."""
        return self.state in OPEN


def checked_text(kind: QuestionKind, text: str, longest: int) -> str:
    """Return the text of a question on one line.

    Args:
        kind: A differential diagnosis has no text.
        text: As the person wrote it.
        longest: Most characters.

    Raises:
        InvalidReview: It is empty, too long, or has control characters or control words.
    """
    if kind is QuestionKind.DIFFERENTIAL:
        if text.strip():
            raise InvalidReview("text: a differential diagnosis is asked without a text")
        return ""
    if any(unicodedata.category(each)[0] == "C" and each not in _LINE_BREAKS for each in text):
        raise InvalidReview("text: it has control characters; remove them")
    line = " ".join(text.split())
    if not line:
        raise InvalidReview("text: the question is empty")
    if len(line) > longest:
        raise InvalidReview(f"text: {len(line)} characters, at most {longest} are allowed")
    if _CONTROL_WORDS.search(line):
        raise InvalidReview("text: it contains a control word of a chat layout, such as <image>")
    return line


def answer_text(text: str) -> str:
    """Return an answer without control words, which must not act as a turn in a later prompt."""
    return _CONTROL_WORDS.sub(" ", text).strip()
