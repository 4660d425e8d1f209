"""Questions about an image as pages and the JSON API show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from dicom.content.report import ModelIdentity
from service.jobs import DraftStatus
from service.records import JobWithDraft, ProcessRole, ProcessStatus
from service.review.decision import obstacle
from service.review.questions import (
    FAULT_TEXT,
    Question,
    QuestionAnswer,
    QuestionFault,
    QuestionKind,
    QuestionState,
)
from service.review.words import OBSTACLE_TEXT, Obstacle
from service.web.app_context import AppContext
from service.web.render import Snapshot, part
from service.web.status.status_text import SystemStatus

# Words in `ModelIdentity.cannot` (`workers.model.profiles.profile.Ability`).
CHAT: Final = "chat"
DIFFERENTIAL: Final = "differential"
FOLLOW_UP: Final = "follow-up questions"
OPEN_QUESTIONS: Final = "open questions"
_NEEDED: Final = {QuestionKind.QUESTION: CHAT, QuestionKind.DIFFERENTIAL: DIFFERENTIAL}
_CANNOT: Final = {
    QuestionKind.QUESTION: "{model} cannot answer questions: it was made to write reports only.",
    QuestionKind.DIFFERENTIAL: "{model} cannot suggest a differential diagnosis.",
}
_OFF: Final = "Questions are switched off here: an administrator can set questions.enabled."
_NO_FOLLOW_UP: Final = (
    "It answers each question by itself: earlier questions and answers are not part of the prompt."
)
_NO_OPEN_QUESTIONS: Final = (
    "It was trained on yes-or-no questions about atelectasis, cardiomegaly, consolidation, edema, "
    "pleural effusion and pneumothorax; its answer to any other question is meaningless."
)
_STATE_WORDS: Final = {
    QuestionState.WAITING: "Waiting",
    QuestionState.ANSWERING: "The model is answering",
    QuestionState.FAILED: "No answer",
    QuestionState.CANCELED: "Canceled",
}
_ANSWER_WITHDRAWN: Final = "The draft was withdrawn, and with it the answer of the same model."
_DIFFERENTIAL_WORDS: Final = "Differential diagnosis"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownQuestion:
    """A question as a page shows it.

    Attributes:
        words: What was asked.
        state_words: Its state; "" for an answered one.
        reason: Why it waits, or why no answer is shown, a sentence, or "".
        answer: The answer that may be shown, or None.
    """

    question: Question
    words: str
    state_words: str
    reason: str
    answer: QuestionAnswer | None


def unavailable(here: AppContext, job: JobWithDraft) -> dict[QuestionKind, str]:
    """Return why a question of each kind cannot be asked about a job's image now; "" where it can."""
    reason = _unavailable(here, job)
    if reason or job.draft is None:
        return dict.fromkeys(QuestionKind, reason)
    model = job.draft.model
    return {
        kind: _CANNOT[kind].format(model=model.name) if _NEEDED[kind] in model.cannot else ""
        for kind in QuestionKind
    }


def _unavailable(here: AppContext, job: JobWithDraft) -> str:
    if not here.settings.questions.enabled:
        return _OFF
    found = obstacle(job)
    if found is not None:
        return OBSTACLE_TEXT[found]
    stored = here.store.instances(job.study_instance_uid)
    if not any(
        each.sop_instance_uid == job.drafted_image and not each.conflict and each.path.exists()
        for each in stored
    ):
        return OBSTACLE_TEXT[Obstacle.REMOVED]
    model = here.settings.readings().get(job.model_name)
    if model is None or model.model_version != job.model_version:
        return FAULT_TEXT[QuestionFault.MODEL_CHANGED]
    return ""


def abilities(model: ModelIdentity) -> tuple[str, ...]:
    """Return sentences on what a model that answers questions cannot do."""
    limits = {FOLLOW_UP: _NO_FOLLOW_UP, OPEN_QUESTIONS: _NO_OPEN_QUESTIONS}
    return tuple(words for lack, words in limits.items() if lack in model.cannot)


def shown(here: AppContext, questions: Sequence[Question]) -> list[ShownQuestion]:
    """Return questions with the reasons why open ones wait, without answers about withdrawn drafts."""
    waits = any(each.state is QuestionState.WAITING for each in questions)
    status = here.observer.situation() if waits else None
    jobs = {each.job_id for each in questions if each.answer}
    withdrawn = {
        each for each in jobs if here.store.job(each).draft_status is DraftStatus.WITHDRAWN
    }
    return [
        _withdrawn(each) if each.job_id in withdrawn and each.answer else _shown(here, each, status)
        for each in questions
    ]


def _shown(here: AppContext, question: Question, status: SystemStatus | None) -> ShownQuestion:
    waits = status is not None and question.state is QuestionState.WAITING
    return ShownQuestion(
        question=question,
        words=question.text or _DIFFERENTIAL_WORDS,
        state_words=_STATE_WORDS.get(question.state, ""),
        reason=_waits_for(here, question, status) if status and waits else question.reason,
        answer=question.answer,
    )


def _withdrawn(question: Question) -> ShownQuestion:
    return ShownQuestion(
        question=question,
        words=question.text or _DIFFERENTIAL_WORDS,
        state_words=_STATE_WORDS[QuestionState.FAILED],
        reason=_ANSWER_WITHDRAWN,
        answer=None,
    )


def questions_part(here: AppContext, job: JobWithDraft) -> Markup:
    """Return the part of a page with the questions about a study and whether more can be asked."""
    why = unavailable(here, job)
    return part(
        "questions",
        asked=shown(here, here.store.questions(job.study_instance_uid))[::-1],  # the newest first
        why_not=why[QuestionKind.QUESTION],
        why_no_differential=why[QuestionKind.DIFFERENTIAL],
    )


def questions_snapshot(here: AppContext, job_id: str) -> Snapshot:
    """Return the replaceable part of the panel.

    Raises:
        NotFound: There is no such job.
    """
    return Snapshot(parts={"asked": questions_part(here, here.store.job(job_id))})


def question_json(here: AppContext, question: Question) -> dict[str, Any]:
    """Return a question as JSON types."""
    return questions_json(here, [question])[0]


def questions_json(here: AppContext, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return questions as JSON types."""
    return [_json(each) for each in shown(here, questions)]


def _json(shown_question: ShownQuestion) -> dict[str, Any]:
    question = shown_question.question
    return {
        "id": question.id,
        "study_instance_uid": question.study_instance_uid,
        "job_id": question.job_id,
        "sop_instance_uid": question.image,
        "kind": question.kind.value,
        "text": question.text,
        "by": {"id": question.person_id, "name": question.person},
        "state": question.state.value,
        "fault": question.fault.value if question.fault else None,
        "reason": shown_question.reason,
        "answer": _answer_json(shown_question.answer),
        "at": question.created_at.isoformat(),
        "ended_at": question.ended_at.isoformat() if question.ended_at else None,
    }


def _answer_json(answer: QuestionAnswer | None) -> Mapping[str, Any] | None:
    if answer is None:
        return None
    return {
        "text": answer.text,
        "status": "unverified AI answer",
        "model": {"name": answer.model, "version": answer.version},
        "prompt_sha256": answer.prompt_sha256,
        "earlier": answer.earlier,
    }


def _waits_for(here: AppContext, question: Question, status: SystemStatus) -> str:
    """Return why a question waits."""
    role = status.roles.get(question.model_name)
    if role is None:
        return f"No model named {question.model_name} is configured."
    absent = status.absent(role)
    if absent is not None:
        return f"Waiting for a worker: {absent.plain()}"
    if role == ProcessRole.READING and any(
        each.role == role for each in status.reporting(ProcessStatus.LOADING)
    ):
        return "Waiting for the model, which is being loaded."
    ahead = here.store.questions_ahead(question)
    turn = f"{ahead} {'question is' if ahead == 1 else 'questions are'} before it." if ahead else ""
    return " ".join(filter(None, ("Waiting for the model.", turn, question.reason)))
