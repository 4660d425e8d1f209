"""The operations on reviews, decisions, notices and questions."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from service.review.figures import Grouping
from service.web.openapi import question_models as questions
from service.web.openapi import review_models as models
from service.web.openapi.operation import (
    BEFORE,
    CONFLICT,
    CURSOR,
    LIMIT,
    MOMENT,
    TEXT,
    Once,
    Operation,
    Parameter,
    Place,
    Schema,
    Tag,
)

_IF_MATCH: Final = Parameter(
    name="If-Match",
    description="The version of the text that was changed: the ETag of the review.",
    schema={"type": "string", "pattern": '^"[0-9]{1,9}"$'},
    place=Place.HEADER,
)
_CHANGED: Final = "Another text was stored meanwhile: `current` has it."
_NO_VERSION: Final = "If-Match is missing."
_NO_KEY: Final = "Idempotency-Key is missing."
_CONFLICTS: Final[Mapping[int, type[BaseModel]]] = {
    409: models.DecisionConflict,
    412: models.TextChanged,
}


def _time(name: str, description: str) -> Parameter:
    schema: Schema = MOMENT
    return Parameter(name=name, description=description, schema=schema)


_ASK: Final = Operation(
    name="askAboutStudy",
    summary="Ask the model about the image of the study's newest draft.",
    description="The answer is written by AI, is not verified, and never becomes part of a report.",
    tag=Tag.QUESTIONS,
    answer=questions.Question,
    body=questions.NewQuestion,
    creates=True,
    errors={
        409: "None can be asked now; the sentence says why.",
        428: _NO_KEY,
        429: "More than the site permits within an hour; Retry-After says when to try again.",
    },
    once=Once.REQUIRED,
)

OPERATIONS: Final = {
    ("GET", "/api/studies/{study_uid}/review"): Operation(
        name="reviewOfStudy",
        summary="Return the review of the study's newest draft.",
        tag=Tag.REVIEWS,
        answer=models.Review,
    ),
    ("GET", "/api/jobs/{job_id}/review"): Operation(
        name="review",
        summary="Return a draft to be reviewed; its ETag is the version of the stored text.",
        tag=Tag.REVIEWS,
        answer=models.Review,
    ),
    ("PUT", "/api/jobs/{job_id}/review"): Operation(
        name="saveReview",
        summary="Store the text under review.",
        tag=Tag.REVIEWS,
        answer=models.StoredText,
        body=models.ReviewContent,
        parameters=(_IF_MATCH,),
        errors={409: CONFLICT, 412: _CHANGED, 428: _NO_VERSION},
        error_answers=_CONFLICTS,
    ),
    ("POST", "/api/jobs/{job_id}/open"): Operation(
        name="noteOpen",
        summary="Record that the page has a draft open; return what may have changed.",
        tag=Tag.REVIEWS,
        answer=models.ReviewNews,
        body=models.OpenNote,
        errors={409: CONFLICT},
    ),
    ("GET", "/api/jobs/{job_id}/decisions"): Operation(
        name="decisionsOfJob",
        summary="List the decisions on a draft, the latest first, undone ones included.",
        tag=Tag.REVIEWS,
        answer=models.DecisionsOfJob,
    ),
    ("POST", "/api/jobs/{job_id}/decisions"): Operation(
        name="decide",
        summary="Record a decision, once for each Idempotency-Key.",
        tag=Tag.REVIEWS,
        answer=models.Decision,
        body=models.DecisionRequest,
        creates=True,
        errors={409: CONFLICT, 412: _CHANGED, 428: _NO_KEY},
        error_answers=_CONFLICTS,
        once=Once.REQUIRED,
    ),
    ("GET", "/api/decisions"): Operation(
        name="listDecisions",
        summary="List all decisions, the latest first.",
        tag=Tag.REVIEWS,
        answer=models.DecisionList,
        parameters=(
            _time("since", "Only those made at this time or later."),
            _time("until", "Only those made before."),
            Parameter(name="reader", description="Only those of this person's id.", schema=TEXT),
            LIMIT,
            CURSOR,
            BEFORE,
        ),
    ),
    ("GET", "/api/decisions/figures"): Operation(
        name="decisionFigures",
        summary="Return figures of the decisions that stand.",
        description="A radiologist who asks by reader gets the own figures only.",
        tag=Tag.REVIEWS,
        answer=models.DecisionFigures,
        parameters=(
            Parameter(
                name="by",
                description="By what decisions are grouped.",
                schema={"type": "string", "enum": [str(each) for each in Grouping]},
            ),
            _time("from", "Begin of the period."),
            _time("to", "End of the period; a date without a time includes that day."),
            _time("since", "Another name of `from`."),
            _time("until", "Another name of `to`."),
        ),
    ),
    ("GET", "/api/decisions/{decision_id}"): Operation(
        name="decision",
        summary="Return one decision.",
        tag=Tag.REVIEWS,
        answer=models.Decision,
    ),
    ("POST", "/api/decisions/{decision_id}/undo"): Operation(
        name="undoDecision",
        summary="Undo an own decision within one minute.",
        tag=Tag.REVIEWS,
        answer=models.Decision,
        body=models.Nothing,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    ),
    ("POST", "/api/decisions/{decision_id}/send"): Operation(
        name="sendReportAgain",
        summary="Send a verified report again to the destinations that it has not reached.",
        tag=Tag.REVIEWS,
        answer=models.Decision,
        body=models.Nothing,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    ),
    ("GET", "/api/studies/{study_uid}/questions"): Operation(
        name="questionsAboutStudy",
        summary="List the questions about a study, with the answers.",
        tag=Tag.QUESTIONS,
        answer=questions.QuestionList,
    ),
    ("POST", "/api/studies/{study_uid}/questions"): _ASK,
    ("POST", "/api/jobs/{job_id}/questions"): Operation(
        name="askAboutJob",
        summary="Ask the model about the image of a job's draft.",
        description=_ASK.description,
        tag=Tag.QUESTIONS,
        answer=_ASK.answer,
        body=_ASK.body,
        creates=True,
        errors=_ASK.errors,
        once=Once.REQUIRED,
    ),
    ("POST", "/api/questions/{question_id}/cancel"): Operation(
        name="cancelQuestion",
        summary="Cancel an own question that is not answered yet.",
        tag=Tag.QUESTIONS,
        answer=questions.Question,
        body=models.Nothing,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    ),
    ("GET", "/api/notices"): Operation(
        name="listNotices",
        summary="List the notices to you about your verified reports.",
        tag=Tag.REVIEWS,
        answer=models.NoticeList,
        parameters=(
            Parameter(
                name="unseen",
                description="1: only those that you have not marked as read.",
                schema=TEXT,
            ),
            LIMIT,
        ),
    ),
    ("POST", "/api/notices/{notice_id}/seen"): Operation(
        name="markNoticeSeen",
        summary="Record that you have read a notice.",
        tag=Tag.REVIEWS,
        answer=models.NoticeSeen,
        body=models.Nothing,
    ),
}
