"""Responses and bodies about reviews, decisions and notices."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dicom.content.report import Observation, Presence, Side
from service.review.confidence import Confidence
from service.review.content import LONGEST_SENTENCE, MOST_SENTENCES
from service.review.figures import Grouping
from service.review.words import (
    Answer,
    FindingVerdict,
    MustAnswer,
    NoticeKind,
    Obstacle,
    Rejection,
    ReportState,
    Section,
    Verdict,
)
from service.web.openapi.schema_types import NEXT, ModelName, Problem, Time, Uid

Point = Annotated[list[float], Field(min_length=2, max_length=2, description="Column and row.")]
Share = Annotated[float, Field(ge=0, le=1)]


class Person(BaseModel):
    """A person, by account."""

    id: str
    name: str


class ReviewSentence(BaseModel):
    """A sentence of the report under review."""

    id: str = Field(min_length=1, max_length=40, description="Of the draft's, or a new one.")
    section: Section
    text: str = Field(max_length=LONGEST_SENTENCE)
    answer: Answer = Answer.NONE


class FindingReview(BaseModel):
    """A verdict on a finding of the draft, by `id`, or a finding that the person adds."""

    verdict: FindingVerdict
    id: str = ""
    observation: Observation | None = None
    side: Side | None = None
    text: str = Field(default="", max_length=LONGEST_SENTENCE)
    region: Annotated[list[Point], Field(min_length=4, max_length=500)] | None = Field(
        default=None, description="A closed polygon: the last point equals the first."
    )


class ReviewContent(BaseModel):
    """The report under review: its sentences in order, and the verdicts on findings."""

    sentences: list[ReviewSentence] = Field(max_length=MOST_SENTENCES)
    findings: list[FindingReview] = Field(default=[], max_length=50)


class StoredText(BaseModel):
    """A stored text, with its version and its author."""

    version: int
    content: ReviewContent
    by: str | None
    at: Time | None


class ObstacleShown(BaseModel):
    """Why no report can be made from a draft."""

    code: Obstacle
    sentence: str


class ReviewedImage(BaseModel):
    """The image that the draft is about."""

    sop_instance_uid: Uid
    rows: int
    columns: int


class DraftSentence(BaseModel):
    """A sentence of the draft."""

    id: str
    section: Section
    text: str
    findings: list[str]
    must_answer: list[MustAnswer]
    must_answer_why: str


class FindingAgreement(BaseModel):
    """How many sampled reports agree with the draft on a finding."""

    same: int
    samples: int


class FindingRegion(BaseModel):
    """A region on the source image."""

    points: list[Point]
    peak: Point | None


class HeatSquare(BaseModel):
    """The square of the source image that a heat map covers, in pixels."""

    left: float
    top: float
    size: float


class ReviewFinding(BaseModel):
    """A finding of the draft."""

    id: str
    observation: Observation
    presence: Presence
    side: Side | None
    site: str | None
    confidence: Confidence | None
    score: float | None
    agreement: FindingAgreement | None
    region: FindingRegion | None
    heat: HeatSquare | None
    sentences: list[str]


class NotReadImage(BaseModel):
    """An image that was not read."""

    sop_instance_uid: Uid
    reason: str


class OpenReview(Person):
    """A person who has the draft open."""

    seen_at: Time


class AcceptabilityStep(BaseModel):
    """A step of acceptability."""

    step: int = Field(ge=1, le=4)
    text: str


class Signer(Person):
    """The person who decided."""

    organization: str


class DecidedDraft(BaseModel):
    """The draft as it was decided on."""

    findings: list[str]
    impression: list[str]
    sop_instance_uid: str


class WordEdit(BaseModel):
    """A run of words that was kept, inserted, deleted or replaced."""

    edit: str
    before: str
    after: str


class SentenceEdit(BaseModel):
    """A sentence that was kept, inserted, deleted or replaced."""

    edit: str
    before: str
    after: str
    words: list[WordEdit] = []


class Edits(BaseModel):
    """What the person changed."""

    distance: int = Field(description="Words inserted, deleted or replaced.")
    share: Share | None
    sentences: int
    kept: int
    opcodes: list[SentenceEdit]


class LookedSeconds(BaseModel):
    """Seconds that the person looked."""

    total: float = Field(ge=0, le=604800)
    image: Annotated[float, Field(ge=0, le=604800)] | None = None
    draft: Annotated[float, Field(ge=0, le=604800)] | None = None


class VerifiedReport(BaseModel):
    """The verified report of a decision."""

    state: ReportState
    revision: int | None
    sop_instance_uid: str | None
    made_at: Time | None
    faults: dict[str, str] = Field(description="The last error, by destination.")


class Decision(BaseModel):
    """A radiologist's decision on a draft."""

    id: str
    job_id: str
    study_instance_uid: Uid
    number: int
    at: Time
    by: Signer
    verdict: Verdict
    rejection: Rejection | None
    reason: str
    acceptability: AcceptabilityStep | None
    content: ReviewContent
    draft: DecidedDraft
    edits: Edits
    seconds: LookedSeconds
    verdicts: dict[str, FindingVerdict] = Field(description="By observation.")
    base_version: int
    amends: str | None
    undo_until: Time
    undone_at: Time | None
    model: ModelName
    device: str = Field(description="Calling AE.")
    report: VerifiedReport


class Review(BaseModel):
    """A draft to be reviewed. It is an unverified AI draft."""

    job_id: str
    study_instance_uid: Uid
    revision: int
    model: ModelName
    caveat: str
    draft_status: str
    urgent: bool
    obstacle: ObstacleShown | None
    image: ReviewedImage
    sentences: list[DraftSentence]
    findings: list[ReviewFinding]
    not_mentioned: list[Observation]
    notes: list[str]
    not_read: list[NotReadImage]
    review: StoredText = Field(description="Version 0 is the draft itself.")
    unanswered: list[str]
    open: list[OpenReview]
    decision: Decision | None
    undo_seconds: int


class ReviewNews(BaseModel):
    """What may have changed while a page has a draft open."""

    open: list[OpenReview]
    version: int
    by: Person | None
    obstacle: ObstacleShown | None
    decision: "StandingDecision | None"


class StandingDecision(BaseModel):
    """The decision that stands."""

    id: str
    by: str


class OpenNote(BaseModel):
    """Whether the page has the draft open."""

    open: bool = True


class DecisionRequest(BaseModel):
    """A decision on a draft."""

    verdict: Verdict
    base_version: int = Field(ge=0, lt=10**9, description="Version of the text decided on.")
    seconds: LookedSeconds
    acceptability: Annotated[int, Field(ge=1, le=4)] | None = None
    rejection: Rejection | None = None
    reason: str = ""
    amends: str | None = Field(default=None, description="Id of the decision to be amended.")
    content: ReviewContent | None = Field(
        default=None, description="Without it the stored text counts."
    )


class DecisionsOfJob(BaseModel):
    """The decisions on one draft, the latest first."""

    decisions: list[Decision]


class DecisionList(DecisionsOfJob):
    """A page of decisions, the latest first."""

    next: str | None = Field(description=NEXT)


class DecisionConflict(Problem):
    """Why the decision was not recorded."""

    obstacle: Obstacle | None = Field(default=None, description="Why no report can be made.")
    decision: Decision | None = Field(default=None, description="The decision that stands.")


class TextChanged(Problem):
    """Another page stored another text."""

    current: StoredText | None = Field(description="That text; null if none is stored.")


class Estimate(BaseModel):
    """A share with its 95 % interval; null without a case, no interval if one decision has all cases."""

    value: float | None
    interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None
    n: int


class FigureGroup(BaseModel):
    """The figures of one group of decisions."""

    name: str
    n: int
    verdicts: dict[str, int]
    acceptability_steps: dict[str, int]
    acceptable: Estimate
    unchanged: Estimate
    agreement: Estimate
    added: int
    kept_sentences: float | None
    median_distance: float | None
    median_share: float | None
    median_seconds: float | None
    rejections: dict[str, int]


class PublishedFigure(BaseModel):
    """The figure of the paper, and what differs."""

    acceptable: float
    words: str


class DecisionFigures(BaseModel):
    """Figures of the decisions that stand."""

    by: Grouping
    groups: list[FigureGroup]
    published: PublishedFigure


class Notice(BaseModel):
    """A notice to the author of a verified report."""

    id: int
    decision_id: str
    job_id: str
    study_instance_uid: Uid
    kind: NoticeKind
    subject: str
    detail: str
    at: Time
    seen_at: Time | None


class NoticeList(BaseModel):
    """Notices, the latest first."""

    notices: list[Notice]


class NoticeSeen(BaseModel):
    """The notice is marked as read."""

    seen: Literal[True]


class Nothing(BaseModel):
    """No fields: send {}."""

    model_config = ConfigDict(title="Nothing")
