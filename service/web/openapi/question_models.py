"""Responses and bodies about questions to the model."""

from pydantic import BaseModel, Field

from service.review.questions import QuestionFault, QuestionKind, QuestionState
from service.web.openapi.review_models import Person
from service.web.openapi.schema_types import ModelName, Time, Uid


class AiAnswer(BaseModel):
    """The answer of the model, never verified."""

    text: str
    status: str
    model: ModelName
    prompt_sha256: str
    earlier: int = Field(description="Number of earlier questions and answers in the prompt.")


class Question(BaseModel):
    """A question about an image, and its answer."""

    id: str
    study_instance_uid: Uid
    job_id: str
    sop_instance_uid: Uid
    kind: QuestionKind
    text: str
    by: Person
    state: QuestionState
    fault: QuestionFault | None
    reason: str
    answer: AiAnswer | None
    at: Time
    ended_at: Time | None


class QuestionList(BaseModel):
    """The questions about a study, and whether more can be asked."""

    job_id: str
    questions: list[Question]
    unavailable: dict[QuestionKind, str | None] = Field(
        description="Why none of a kind can be asked now; null: it can."
    )


class NewQuestion(BaseModel):
    """A question to the model about the image of a draft."""

    kind: QuestionKind = QuestionKind.QUESTION
    text: str = Field(default="", description="The question; empty for a differential diagnosis.")
