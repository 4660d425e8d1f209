"""Errors of a review that another person, another page or the service changed meanwhile.

ReviewConflict
├── VersionConflict   another page stored the review first: its text and its author
├── AlreadyDecided    another decision stands
├── CannotDecide      no report can be made from the draft
├── KeyReused         the Idempotency-Key belongs to another request
├── CannotUndo        the time is over, or it is another person's decision
├── CannotAsk         no question can be asked about the image now
└── TooManyQuestions  the person's limit for an hour is reached
"""

from service.errors import WetreadError
from service.review.decision import Decision
from service.review.review import StoredReview
from service.review.words import OBSTACLE_TEXT, Obstacle


class ReviewConflict(WetreadError):
    """The review or the decision changed meanwhile."""


class VersionConflict(ReviewConflict):
    """The stored review has another version.

    Attributes:
        current: The stored review; None if there is none.
    """

    def __init__(self, current: StoredReview | None) -> None:
        who = (
            f"{current.reviewer.display_name} stored another text"
            if current
            else "no text is stored"
        )
        super().__init__(f"{who}: compare the two and decide which one stays")
        self.current = current


class AlreadyDecided(ReviewConflict):
    """Another decision on the draft stands.

    Attributes:
        standing: That decision; None if the one that was to be amended no longer stands.
    """

    def __init__(self, message: str, standing: Decision | None) -> None:
        super().__init__(message)
        self.standing = standing


class CannotDecide(ReviewConflict):
    """No report can be made from the draft.

    Attributes:
        obstacle: Why.
    """

    def __init__(self, obstacle: Obstacle, detail: str = "") -> None:
        super().__init__(" ".join(filter(None, (OBSTACLE_TEXT[obstacle], detail))))
        self.obstacle = obstacle


class KeyReused(ReviewConflict):
    """The Idempotency-Key belongs to another request of the same person."""


class CannotUndo(ReviewConflict):
    """The decision can no longer be undone, or is not this person's."""


class CannotAsk(ReviewConflict):
    """No question can be asked about the image now; the message states why."""


class TooManyQuestions(ReviewConflict):
    """The person has asked as many questions as are allowed in an hour.

    Attributes:
        retry_after: Seconds until the next question is taken.
    """

    def __init__(self, most: int, retry_after: int) -> None:
        minutes = max(1, round(retry_after / 60))
        super().__init__(
            f"You have asked {most} questions within an hour, which is the limit here. The next one is "
            f"taken in {minutes} min."
        )
        self.retry_after = retry_after
