"""Rows of image vectors: which row of the file of a vector space belongs to which image.

The content is written within the transaction that gives or frees the row: a row of an image is committed
only after its vector is on stable storage. A process that ends in between leaves no row.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.database.search_tables import ImageVectorRow
from service.database.tables import InstanceRow, JobRow
from service.jobs import ReasonCode
from service.records.search import ImageVector, VectorRow
from service.store.probe_exclusion import is_of_a_probe, not_a_probe
from service.store.session import Transactions

# Number of the advisory lock under which rows are given and freed.
_ROWS: Final = 0x574556

# Writes content to, or clears, a row of the file of a space: arguments are the space and the row.
RowAction = Callable[[str, int], None]


class ImageVectors(Transactions):
    """The part of the store for image vectors."""

    def keep_vector(
        self, vector: ImageVector, *, study_uid: str, image_uid: str, write: RowAction
    ) -> bool:
        """Give the vector of an image a row, and write it; return False if the image was removed.

        That of an end-to-end check gets none either.

        Args:
            vector: The vector; an earlier one of the same image and space is replaced.
            study_uid: Study Instance UID.
            image_uid: SOP Instance UID.
            write: Writes the vector to the row and syncs it; its error leaves the database unchanged.
        """
        with self._writing() as session:
            self._exclusive(session, _ROWS)
            if not _is_here(session, image_uid) or is_of_a_probe(session, study_uid):
                return False
            space = vector.space
            row = _row_of(session, space, image_uid) or _free_row(session, space)
            change = _next_change(session, space)
            row.study_uid, row.image_uid, row.crc32 = study_uid, image_uid, vector.crc32
            row.change_number = change
            session.add(row)
            session.flush()
            write(space, row.row_number)
            return True

    def drop_vectors(self, image_uid: str, clear: RowAction) -> int:
        """Clear the vectors of an image in all spaces, and free their rows; return how many.

        Args:
            image_uid: SOP Instance UID.
            clear: Overwrites a row with zeros and syncs it.
        """
        chosen = select(ImageVectorRow).where(ImageVectorRow.image_uid == image_uid)
        with self._reading() as session:
            if session.scalar(chosen.limit(1)) is None:
                return 0
        with self._writing() as session:
            self._exclusive(session, _ROWS)
            rows = session.scalars(chosen).all()
            for row in rows:
                change = _next_change(session, row.space)
                row.study_uid, row.image_uid, row.crc32 = "", None, 0
                row.change_number = change
                session.flush()
                clear(row.space, row.row_number)
            return len(rows)

    def vector_changes(self, space: str, after: int = 0) -> list[VectorRow]:
        """Return the rows of a space that changed after the change with this number, in order."""
        columns = (
            ImageVectorRow.row_number,
            ImageVectorRow.study_uid,
            func.coalesce(ImageVectorRow.image_uid, ""),
            ImageVectorRow.crc32,
            ImageVectorRow.change_number,
        )
        chosen = select(*columns).where(
            ImageVectorRow.space == space, ImageVectorRow.change_number > after
        )
        with self._read_connection() as connection:
            found = connection.execute(chosen.order_by(ImageVectorRow.change_number))
            return [VectorRow(*row) for row in found]

    def vector_spaces(self) -> dict[str, int]:
        """Return the number of images with a vector in each space, the latest space first."""
        chosen = (
            select(ImageVectorRow.space, func.count())
            .where(ImageVectorRow.image_uid.is_not(None))
            .group_by(ImageVectorRow.space)
            .order_by(func.max(ImageVectorRow.id).desc())
        )
        with self._reading() as session:
            return {space: count for space, count in session.execute(chosen)}  # noqa: C416

    def vectors_of_study(self, study_uid: str) -> list[tuple[str, VectorRow]]:
        """Return the space and row of each vector of a study, the latest change first."""
        chosen = select(ImageVectorRow).where(ImageVectorRow.study_uid == study_uid)
        with self._reading() as session:
            rows = session.scalars(chosen.order_by(ImageVectorRow.id.desc())).all()
            return [
                (
                    row.space,
                    VectorRow(
                        row.row_number,
                        row.study_uid,
                        row.image_uid or "",
                        row.crc32,
                        row.change_number,
                    ),
                )
                for row in rows
            ]

    def orphaned_vectors(self, study_uid: str = "") -> Sequence[str]:
        """Return the SOP Instance UIDs of vectors whose image is not here any more.

        Args:
            study_uid: Only those of this study; of all studies when empty.
        """
        here = select(InstanceRow.id).where(
            InstanceRow.sop_instance_uid == ImageVectorRow.image_uid,
            ~InstanceRow.conflict,
            InstanceRow.removed_at.is_(None),
        )
        chosen = select(ImageVectorRow.image_uid).distinct()
        chosen = chosen.where(ImageVectorRow.image_uid.is_not(None), ~here.exists())
        if study_uid:
            chosen = chosen.where(ImageVectorRow.study_uid == study_uid)
        with self._reading() as session:
            return [uid for uid in session.scalars(chosen) if uid]

    def standing_drafts(self) -> list[str]:
        """Return the ids of the jobs whose draft stands and whose image is here, the oldest first."""
        chosen = select(JobRow.id).where(
            JobRow.draft.is_not(None),
            JobRow.superseded_by.is_(None),
            JobRow.removed_at.is_(None),
            JobRow.reason_code != ReasonCode.RECALLED.value,
            not_a_probe(JobRow.study_instance_uid),
        )
        with self._reading() as session:
            return list(session.scalars(chosen.order_by(JobRow.created_at, JobRow.id)))


def _is_here(session: Session, image_uid: str) -> bool:
    chosen = select(InstanceRow.id).where(
        InstanceRow.sop_instance_uid == image_uid,
        ~InstanceRow.conflict,
        InstanceRow.removed_at.is_(None),
    )
    return session.scalar(chosen.limit(1)) is not None


def _row_of(session: Session, space: str, image_uid: str) -> ImageVectorRow | None:
    return session.scalar(select(ImageVectorRow).filter_by(space=space, image_uid=image_uid))


def _free_row(session: Session, space: str) -> ImageVectorRow:
    """Return a row that was freed, else a new one behind the last."""
    freed = select(ImageVectorRow).filter_by(space=space, image_uid=None)
    row = session.scalar(freed.order_by(ImageVectorRow.row_number).limit(1))
    if row is None:
        last = session.scalar(
            select(func.max(ImageVectorRow.row_number)).where(ImageVectorRow.space == space)
        )
        row = ImageVectorRow(space=space, row_number=0 if last is None else last + 1)
    return row


def _next_change(session: Session, space: str) -> int:
    last = session.scalar(
        select(func.max(ImageVectorRow.change_number)).where(ImageVectorRow.space == space)
    )
    return (last or 0) + 1
