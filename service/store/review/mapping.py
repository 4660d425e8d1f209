"""Maps rows of reviews and decisions to frozen records, and a decision to the columns of its row."""

from typing import Any

from dicom.content.codes import Code
from service.database.review_tables import AuthorNoticeRow, DecisionRow, OpenRow, ReviewRow
from service.review.content import ReviewContent
from service.review.decision import Decision, DecisionRequest, Reviewer, Seconds
from service.review.edit_measure import TextEdits
from service.review.review import AuthorNotice, OpenReview, StoredReview
from service.review.words import Acceptability, FindingVerdict, Rejection, Verdict


def review(row: ReviewRow) -> StoredReview:
    """Return the record of a stored review."""
    return StoredReview(
        job_id=row.job_id,
        version=row.version,
        content=ReviewContent.from_json(row.content),
        reviewer=Reviewer(id=row.reviewer_id, name=row.reviewer_name, organization=""),
        at=row.at,
    )


def opened(row: OpenRow) -> OpenReview:
    """Return the record of a person who has a draft open."""
    reviewer = Reviewer(id=row.reviewer_id, name=row.reviewer_name, organization="")
    return OpenReview(reviewer_id=row.reviewer_id, name=reviewer.display_name, seen_at=row.seen_at)


def decision(row: DecisionRow, undone_at: Any = None) -> Decision:  # noqa: ANN401 - a column of an outer join
    """Return the record of a decision."""
    return Decision(
        id=row.id,
        job_id=row.job_id,
        study_instance_uid=row.study_instance_uid,
        number=row.number,
        at=row.at,
        reviewer=_reviewer(row),
        request=_request(row),
        draft_findings=tuple(row.draft_findings),
        draft_impression=tuple(row.draft_impression),
        edits=TextEdits(
            distance=row.distance,
            share=row.share,
            sentences=row.sentences,
            kept=row.kept,
            opcodes=tuple(row.opcodes),
        ),
        undo_until=row.undo_until,
        positive=tuple(row.positive),
        verdicts={name: FindingVerdict(word) for name, word in row.verdicts.items()},
        device=row.device,
        model_name=row.model_name,
        model_version=row.model_version,
        model_weights=row.model_weights,
        draft_uid=row.draft_uid,
        undone_at=undone_at,
    )


def _reviewer(row: DecisionRow) -> Reviewer:
    return Reviewer(
        id=row.reviewer_id,
        name=row.reviewer_name,
        organization=row.reviewer_organization,
        identifier=Code(**row.reviewer_code) if row.reviewer_code else None,
    )


def _request(row: DecisionRow) -> DecisionRequest:
    return DecisionRequest(
        verdict=Verdict(row.verdict),
        content=ReviewContent.from_json(row.content),
        base_version=row.base_version,
        seconds=Seconds(total=row.seconds, image=row.seconds_image, draft=row.seconds_draft),
        acceptability=None if row.acceptability is None else Acceptability(row.acceptability),
        rejection=Rejection(row.rejection) if row.rejection else None,
        reason=row.reason,
        amends=row.amends,
    )


def decision_row(made: Decision, key: str, digest: str) -> DecisionRow:
    """Return the row of a new decision.

    Args:
        made: The decision.
        key: Idempotency key of its request.
        digest: SHA-256 of its request.
    """
    request, reviewer, edits = made.request, made.reviewer, made.edits
    code = reviewer.identifier
    return DecisionRow(
        id=made.id,
        job_id=made.job_id,
        study_instance_uid=made.study_instance_uid,
        number=made.number,
        amends=request.amends,
        idempotency_key=key,
        request_digest=digest,
        at=made.at,
        undo_until=made.undo_until,
        reviewer_id=reviewer.id,
        reviewer_name=reviewer.name,
        reviewer_organization=reviewer.organization,
        reviewer_code=code
        and {"value": code.value, "scheme": code.scheme, "meaning": code.meaning},
        verdict=request.verdict.value,
        rejection=request.rejection.value if request.rejection else "",
        reason=request.reason,
        acceptability=None if request.acceptability is None else request.acceptability.value,
        content=request.content.to_json(),
        draft_findings=list(made.draft_findings),
        draft_impression=list(made.draft_impression),
        distance=edits.distance,
        share=edits.share,
        sentences=edits.sentences,
        kept=edits.kept,
        opcodes=list(edits.opcodes),
        seconds=request.seconds.total,
        seconds_image=request.seconds.image,
        seconds_draft=request.seconds.draft,
        base_version=request.base_version,
        positive=list(made.positive),
        verdicts={name: verdict.value for name, verdict in made.verdicts.items()},
        device=made.device,
        model_name=made.model_name,
        model_version=made.model_version,
        model_weights=made.model_weights,
        draft_uid=made.draft_uid,
    )


def author_notice(row: AuthorNoticeRow, job_id: str, study_uid: str) -> AuthorNotice:
    """Return the record of a notice to an author."""
    return AuthorNotice(
        id=row.id,
        decision_id=row.decision_id,
        job_id=job_id,
        study_instance_uid=study_uid,
        reviewer_id=row.reviewer_id,
        kind=row.kind,
        subject=row.subject,
        detail=row.detail,
        at=row.at,
        seen_at=row.seen_at,
    )
