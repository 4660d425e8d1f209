"""A person's decision on a draft: what it holds, and the rules that it must meet. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dicom.content.codes import Code
from dicom.content.report import DraftReport
from service.errors import InvalidReview
from service.jobs import DraftStatus
from service.records import JobWithDraft
from service.review.content import ReviewContent
from service.review.draft_sentences import DraftSentence, identified_findings
from service.review.edit_measure import TextEdits
from service.review.words import (
    Acceptability,
    Answer,
    FindingVerdict,
    MustAnswer,
    Obstacle,
    Rejection,
    ReportState,
    Section,
    Verdict,
)

UNDO_SECONDS: Final = 60.0
_LONGEST_SECONDS: Final = 24 * 3600.0
_LONGEST_REASON: Final = 500  # characters
_LONGEST_PN: Final = 64  # characters of a component group (PS3.5 6.2)
_OBSTACLES: Final = {
    DraftStatus.WITHDRAWN: Obstacle.WITHDRAWN,
    DraftStatus.IN_DOUBT: Obstacle.IN_DOUBT,
    DraftStatus.SUPERSEDED: Obstacle.SUPERSEDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """A person who reviews drafts.

    Attributes:
        id: The account's id, stable forever.
        name: A PN value, "Family^Given", at most 64 characters.
        organization: The organization to which the person is accountable.
        identifier: The person's code in that organization, if any.
    """

    id: str
    name: str
    organization: str
    identifier: Code | None = None

    @property
    def display_name(self) -> str:
        """The name for people, "Given Family"."""
        family, _, given = self.name.partition("=")[0].partition("^")
        return " ".join(filter(None, (given.replace("^", " ").strip(), family)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """How long a person looked, in seconds, without the time that the page was hidden or idle.

    Attributes:
        total: From the opened study to the decision.
        image: While the image was visible.
        draft: While the draft was revealed.
    """

    total: float
    image: float | None = None
    draft: float | None = None

    def __post_init__(self) -> None:
        """Refuse a time that no clock can have measured.

        Raises:
            InvalidReview: A value is negative, not finite, or longer than a day.
        """
        for value in (self.total, self.image, self.draft):
            if value is not None and not 0 <= value <= _LONGEST_SECONDS:
                raise InvalidReview(f"seconds: a number from 0 to {_LONGEST_SECONDS:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRequest:
    """A decision as a person makes it.

    Attributes:
        content: The text and the answers.
        base_version: Version of the stored review on which the person decided; 0 for none.
        amends: The decision that this one amends; "" for the first.
        rejection: The reason of a rejection, else None.
        reason: Further words of the person, or "".
    """

    verdict: Verdict
    content: ReviewContent
    base_version: int
    seconds: Seconds
    acceptability: Acceptability | None = None
    rejection: Rejection | None = None
    reason: str = ""
    amends: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A recorded decision; rows are only inserted, and an undo is a row of its own.

    Attributes:
        number: 1 for the first decision on the draft, counting undone ones.
        request: What the person decided.
        draft_findings: Lines of the draft's findings, as the person got them.
        draft_impression: The same of its impression.
        edits: What the person changed.
        undo_until: Until then it can be undone, and nothing leaves.
        positive: Observations that the draft states as present or uncertain.
        verdicts: The person's verdict by observation, as far as the decision shows one.
        device: Calling AE of the study's job.
        draft_uid: SOP Instance UID of the draft report, the predecessor.
        undone_at: When it was undone; None if it stands.
    """

    id: str
    job_id: str
    study_instance_uid: str
    number: int
    at: datetime
    reviewer: Reviewer
    request: DecisionRequest
    draft_findings: tuple[str, ...]
    draft_impression: tuple[str, ...]
    edits: TextEdits
    undo_until: datetime
    positive: tuple[str, ...]
    verdicts: dict[str, FindingVerdict]
    device: str
    model_name: str
    model_version: str
    model_weights: str
    draft_uid: str
    undone_at: datetime | None = None

    @property
    def findings_text(self) -> tuple[str, ...]:
        """The sentences of the findings, as decided."""
        return self.request.content.lines(Section.FINDINGS)

    @property
    def impression_text(self) -> tuple[str, ...]:
        """The sentences of the impression, as decided."""
        return self.request.content.lines(Section.IMPRESSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOf:
    """The verified report of a decision.

    Attributes:
        made_at: When it was built and stored; None before.
        sop_instance_uid: Its SOP Instance UID; "" before.
        faults: For each destination that it has not reached, the last error.
    """

    state: ReportState
    revision: int = 0
    made_at: datetime | None = None
    sop_instance_uid: str = ""
    faults: dict[str, str] = field(default_factory=dict)


def obstacle(job: JobWithDraft) -> Obstacle | None:
    """Return why no report can be made from the job's draft, or None."""
    if job.is_withheld:
        return Obstacle.WITHHELD
    if job.draft_fault:
        return Obstacle.UNREADABLE
    if job.draft is None:
        return Obstacle.NO_DRAFT
    found = _OBSTACLES.get(job.draft_status)
    return found or (Obstacle.REMOVED if job.removed_at is not None else None)


def check_reviewer(reviewer: Reviewer) -> None:
    """Check that a report can name the person as its verifying observer (PS3.3 C.17.2).

    Raises:
        InvalidReview: Name or organization is missing, or the name is too long.
    """
    if not reviewer.name.strip("^= ") or not reviewer.organization.strip():
        raise InvalidReview(
            "a verified report states your name and your organization: ask an administrator to set "
            "the DICOM name of your account, and `site_name` in the settings"
        )
    if any(len(group) > _LONGEST_PN for group in reviewer.name.split("=")):
        raise InvalidReview(f"the name of your account is longer than {_LONGEST_PN} characters")


def check_request(
    request: DecisionRequest, draft: DraftReport, own: Sequence[DraftSentence]
) -> None:
    """Check that a decision on a draft is complete and agrees with itself.

    Args:
        request: The decision.
        draft: The draft.
        own: The draft's sentences.

    Raises:
        InvalidReview: It is not; the message names every fault.
    """
    faults = [*_finding_faults(request, draft), *_reason_faults(request)]
    if request.verdict.makes_report:
        faults += _text_faults(request, own)
        faults += [
            f"sentence {each.id} must be answered ({', '.join(each.must_answer)})"
            for each in unanswered(request.content, own)
        ]
    if faults:
        raise InvalidReview("; ".join(faults))


def unanswered(content: ReviewContent, own: Sequence[DraftSentence]) -> list[DraftSentence]:
    """Return the draft's sentences that must be answered and are neither answered nor changed."""
    written = {each.id: each for each in content.sentences}
    return [
        each
        for each in own
        if each.must_answer
        and each.id in written
        and written[each.id].text == each.text
        and written[each.id].answer is Answer.NONE
    ]


def _text_faults(request: DecisionRequest, own: Sequence[DraftSentence]) -> Iterator[str]:
    content, verdict = request.content, request.verdict
    if not content.text:
        yield "a report needs at least one sentence"
    written = [(each.section, each.text) for each in content.sentences if each.text]
    is_same = written == [(each.section, each.text) for each in own]
    if verdict is Verdict.ACCEPT and not is_same:
        yield "the text differs from the draft: the verdict is edit"
    if verdict is Verdict.EDIT and is_same:
        yield "the text equals the draft: the verdict is accept"
    drafted = {each.id: each.text for each in own}
    for each in content.sentences:
        if each.answer is Answer.DISAGREE and each.text and drafted.get(each.id) == each.text:
            yield f"you disagree with sentence {each.id}: change or remove it, or reject the draft"
    if verdict is Verdict.ACCEPT and request.acceptability is Acceptability.UNACCEPTABLE:
        yield "an unacceptable draft cannot be accepted unchanged"


def _reason_faults(request: DecisionRequest) -> Iterator[str]:
    if request.verdict is Verdict.REJECT and request.rejection is None:
        yield "a rejection needs a reason"
    if request.verdict is not Verdict.REJECT and request.rejection is not None:
        yield "only a rejection has a reason for it"
    if request.rejection is Rejection.OTHER and not request.reason:
        yield 'the reason "other" needs a text'
    if len(request.reason) > _LONGEST_REASON:
        yield f"the text of the reason is longer than {_LONGEST_REASON} characters"


def _finding_faults(request: DecisionRequest, draft: DraftReport) -> Iterator[str]:
    known = {each.id for each in identified_findings(draft)}
    for each in request.content.findings:
        if each.verdict is not FindingVerdict.ADD and each.id not in known:
            yield f"the draft has no finding {each.id!a}"
        inside = all(
            0 <= column <= draft.source.columns and 0 <= row <= draft.source.rows
            for column, row in each.region or ()
        )
        if not inside:
            yield "a region lies outside the image"


def reasons_as_text(reasons: Sequence[MustAnswer]) -> str:
    """Return why a sentence must be answered, for people."""
    return "; ".join(_MUST_ANSWER_TEXT[each] for each in reasons)


_MUST_ANSWER_TEXT: Final = {
    MustAnswer.UNSURE: "the confidence of the model is low",
    MustAnswer.CONTRADICTED: "the text or the model's own score contradicts it",
    MustAnswer.URGENT: "the finding is urgent",
    MustAnswer.COMPARES: "it refers to an earlier image, and the model had none",
    MustAnswer.UNCHECKED: "the draft has notes and is of an earlier version",
}
