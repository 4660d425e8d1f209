"""A stored review: the text in the editor, its version, and who has the draft open. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.review.content import ReviewContent
from service.review.decision import Reviewer

# A page reports every half minute that it is open.
OPEN_FOR: Final = timedelta(seconds=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReview:
    """The text of one draft's review as last stored.

    Attributes:
        version: Counts up with each stored change, from 1.
    """

    job_id: str
    version: int
    content: ReviewContent
    reviewer: Reviewer
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReview:
    """A person who has a draft open."""

    reviewer_id: str
    name: str
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorNotice:
    """A notice to the author of a verified report.

    Attributes:
        subject: What it is about: the newer job's id, a destination, or "".
        seen_at: When the author has read it; None before.
    """

    id: int
    decision_id: str
    job_id: str
    study_instance_uid: str
    reviewer_id: str
    kind: str
    subject: str
    detail: str
    at: datetime
    seen_at: datetime | None
