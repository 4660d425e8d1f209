"""Texts of reviews as they are edited, and who has which draft open."""

from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.database.review_tables import OpenRow, ReviewRow
from service.database.tables import JobRow
from service.errors import NotFound
from service.review.conflicts import VersionConflict
from service.review.content import ReviewContent
from service.review.decision import Reviewer
from service.review.review import OPEN_FOR, OpenReview, StoredReview
from service.store.review import mapping
from service.store.session import Transactions


class Reviews(Transactions):
    """The part of the store that holds texts under review."""

    def review(self, job_id: str) -> StoredReview | None:
        """Return the stored review of a draft; None if nothing was stored."""
        with self._reading() as session:
            row = session.get(ReviewRow, job_id)
            return mapping.review(row) if row else None

    def save_review(
        self, job_id: str, content: ReviewContent, base_version: int, reviewer: Reviewer
    ) -> StoredReview:
        """Store the text of a review if its version is still `base_version`; return it.

        Args:
            job_id: The job of the draft.
            content: The text and the answers.
            base_version: Version that the editor began with; 0 if nothing was stored.
            reviewer: Who edits.

        Raises:
            NotFound: There is no such job.
            VersionConflict: The stored review has another version.
        """
        with self._writing() as session:
            lock_job(session, job_id)
            row = check_version(session, job_id, base_version)
            if row is None:
                row = ReviewRow(job_id=job_id)
                session.add(row)
            row.version = base_version + 1
            row.content = content.to_json()
            row.reviewer_id, row.reviewer_name = reviewer.id, reviewer.name
            row.at = self.now()
            session.flush()
            return mapping.review(row)

    def note_open(self, job_id: str, reviewer: Reviewer) -> list[OpenReview]:
        """Record that a person has a draft open; return who has it open, this person included.

        Raises:
            NotFound: There is no such job.
        """
        with self._writing() as session:
            lock_job(session, job_id)
            row = session.get(OpenRow, (job_id, reviewer.id))
            if row is None:
                row = OpenRow(job_id=job_id, reviewer_id=reviewer.id)
                session.add(row)
            row.reviewer_name, row.seen_at = reviewer.name, self.now()
            session.flush()
        return self.open_reviews([job_id]).get(job_id, [])

    def note_closed(self, job_id: str, reviewer_id: str) -> None:
        """Record that a person has closed a draft."""
        with self._writing() as session:
            session.execute(
                delete(OpenRow).where(OpenRow.job_id == job_id, OpenRow.reviewer_id == reviewer_id)
            )

    def open_reviews(self, job_ids: Iterable[str]) -> dict[str, list[OpenReview]]:
        """Return who has these drafts open, by job id; drafts that are not open are left out."""
        chosen = (
            select(OpenRow)
            .where(OpenRow.job_id.in_(list(job_ids)), OpenRow.seen_at > self.now() - OPEN_FOR)
            .order_by(OpenRow.seen_at.desc())
        )
        found: dict[str, list[OpenReview]] = {}
        with self._reading() as session:
            for row in session.scalars(chosen):
                found.setdefault(row.job_id, []).append(mapping.opened(row))
        return found

    def forget_opens(self) -> None:
        """Delete the rows of drafts that were closed without a report of it."""
        with self._writing() as session:
            session.execute(delete(OpenRow).where(OpenRow.seen_at < self.now() - OPEN_FOR))


def lock_job(session: Session, job_id: str) -> JobRow:
    """Lock and return the row of a job; reviews and decisions of one draft are made one at a time.

    Raises:
        NotFound: There is no such job.
    """
    row = session.get(JobRow, job_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFound(f"there is no job {job_id[:8]}")
    return row


def check_version(session: Session, job_id: str, version: int) -> ReviewRow | None:
    """Return the row of a review if it has this version; None if there is none and it is 0.

    Raises:
        VersionConflict: It has another version.
    """
    row = session.get(ReviewRow, job_id, populate_existing=True)
    if (row.version if row else 0) != version:
        raise VersionConflict(mapping.review(row) if row else None)
    return row
