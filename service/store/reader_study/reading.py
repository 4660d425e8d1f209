"""What a reader gets of a study, and what is recorded of it. No query here knows an arm."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from service.database.reader_study_tables import (
    ReaderStudyCaseRow,
    ReaderStudyEntryRow,
    ReaderStudyItemRow,
    ReaderStudyReaderRow,
    ReaderStudyRow,
    ReaderStudyTextRow,
)
from service.database.tables import StudyRow
from service.errors import NotFound
from service.reader_study.errors import ReaderStudyConflict
from service.reader_study.ratings import RatingEntry, digest_of
from service.reader_study.study import CurrentItem, ReaderProgress, ReaderStudy
from service.reader_study.words import Author, Stage
from service.store.session import Transactions

_BEFORE: Final[Mapping[Stage, Stage | None]] = {
    Stage.OPENED: None,
    Stage.RATED: Stage.OPENED,
    Stage.GUESSED: Stage.RATED,
}
_ORDER: Final = list(Stage)


class ReaderStudyReading(Transactions):
    """The part of the store for the pages of readers."""

    def reader_studies(self, *, person_id: str | None = None) -> list[ReaderStudy]:
        """Return the studies, the latest first.

        Args:
            person_id: Only those of which this person is a reader; None for all.
        """
        chosen = select(ReaderStudyRow).order_by(ReaderStudyRow.created_at.desc())
        if person_id is not None:
            own = select(ReaderStudyReaderRow.study_id)
            own = own.where(ReaderStudyReaderRow.person_id == person_id)
            chosen = chosen.where(ReaderStudyRow.id.in_(own))
        with self._reading() as session:
            return [_study(session, row) for row in session.scalars(chosen).all()]

    def reader_study(self, study_id: str) -> ReaderStudy:
        """Return a study.

        Raises:
            NotFound: There is none with this id.
        """
        with self._reading() as session:
            return _study(session, study_row(session, study_id))

    def current_item(self, study_id: str, person_id: str) -> CurrentItem | None:
        """Return the item that a reader has to do next; None if all are done or the study is closed."""
        with self._reading() as session:
            if study_row(session, study_id).closed_at is not None:
                return None
            return _current(session, study_id, person_id)

    def show_text(self, study_id: str, person_id: str, item_id: str) -> str:
        """Record that the text of the current item is shown, and return it.

        Raises:
            NotFound: It is no item of this reader.
            ReaderStudyConflict: The study is closed, or it is not the current item.
        """
        with self._writing() as session:
            _locked(session, study_id)
            current = _current(session, study_id, person_id)
            row = _item(session, study_id, person_id, item_id)
            if current is None or current.id != item_id:
                raise ReaderStudyConflict("This is not the current item: open the study again.")
            self._record(session, item_id, Stage.OPENED, {})
            return _text(session, row.text_id)

    def shown_text(self, study_id: str, person_id: str, item_id: str) -> str:
        """Return the text of an item that was shown to this reader.

        Raises:
            NotFound: It is no item of this reader.
            ReaderStudyConflict: It was not shown yet.
        """
        with self._reading() as session:
            row = _item(session, study_id, person_id, item_id)
            if session.get(ReaderStudyEntryRow, (item_id, Stage.OPENED.value)) is None:
                raise ReaderStudyConflict("The text of this item was not shown yet.")
            return _text(session, row.text_id)

    def shown_rating(self, item_id: str) -> Mapping[str, Any] | None:
        """Return the rating that was recorded of an item; None before."""
        with self._reading() as session:
            row = session.get(ReaderStudyEntryRow, (item_id, Stage.RATED.value))
            return None if row is None else row.content

    def rate(self, study_id: str, person_id: str, item_id: str, entry: RatingEntry) -> bool:
        """Record a rating once; return whether it is new. The same rating again changes nothing.

        Raises:
            NotFound: It is no item of this reader.
            ReaderStudyConflict: The study is closed, the text was not shown, or the item has another
                rating.
        """
        where = (study_id, person_id, item_id)
        return self._append(where, Stage.RATED, entry.to_json(), entry.digest)

    def guess_author(self, study_id: str, person_id: str, item_id: str, author: Author) -> bool:
        """Record a guess once, after the rating; return whether it is new.

        Raises:
            NotFound, ReaderStudyConflict: As `rate`.
        """
        content = {"author": author.value}
        where = (study_id, person_id, item_id)
        return self._append(where, Stage.GUESSED, content, digest_of(content))

    def _append(
        self, where: tuple[str, str, str], stage: Stage, content: dict[str, Any], digest: str
    ) -> bool:
        study_id, person_id, item_id = where
        with self._writing() as session:
            _item(session, study_id, person_id, item_id)
            stored = session.get(ReaderStudyEntryRow, (item_id, stage.value))
            if stored is None:
                _locked(session, study_id)
                before = _BEFORE[stage]
                if before and session.get(ReaderStudyEntryRow, (item_id, before.value)) is None:
                    raise ReaderStudyConflict(f"This item was not {before.value} yet.")
                if self._record(session, item_id, stage, content, digest):
                    return True
                stored = session.get_one(ReaderStudyEntryRow, (item_id, stage.value))
            if stored.digest != digest:
                raise ReaderStudyConflict(
                    f"This item was already {stage.value}: the first entry counts and stays."
                )
            return False

    def _record(
        self,
        session: Session,
        item_id: str,
        stage: Stage,
        content: dict[str, Any],
        digest: str = "",
    ) -> bool:
        return self._insert_new(
            session,
            ReaderStudyEntryRow,
            item_id=item_id,
            stage=stage.value,
            at=self.now(),
            digest=digest,
            content=content,
        )


def in_open_reader_study() -> ColumnElement[bool]:
    """Return the condition that an open reader study shows an image of the study of `StudyRow`."""
    chosen = (
        select(ReaderStudyCaseRow.id)
        .join(ReaderStudyRow, ReaderStudyRow.id == ReaderStudyCaseRow.study_id)
        .where(
            ReaderStudyCaseRow.study_uid == StudyRow.study_instance_uid,
            ReaderStudyRow.closed_at.is_(None),
        )
    )
    return chosen.exists()


def study_row(session: Session, study_id: str) -> ReaderStudyRow:
    """Return the row of a study.

    Raises:
        NotFound: There is none with this id.
    """
    row = session.get(ReaderStudyRow, study_id)
    if row is None:
        raise NotFound("There is no such reader study.")
    return row


def _locked(session: Session, study_id: str) -> None:
    """Keep the study from being closed until this transaction ends.

    Raises:
        ReaderStudyConflict: It is closed.
    """
    chosen = select(ReaderStudyRow.closed_at).where(ReaderStudyRow.id == study_id)
    if session.scalar(chosen.with_for_update(read=True)) is not None:
        raise ReaderStudyConflict("This reader study is closed: nothing more is recorded.")


def _item(session: Session, study_id: str, person_id: str, item_id: str) -> ReaderStudyItemRow:
    row = session.get(ReaderStudyItemRow, item_id)
    if row is None or (row.study_id, row.person_id) != (study_id, person_id):
        raise NotFound("There is no such item.")
    return row


def _text(session: Session, text_id: str) -> str:
    return session.scalars(
        select(ReaderStudyTextRow.text).where(ReaderStudyTextRow.id == text_id)
    ).one()


def _current(session: Session, study_id: str, person_id: str) -> CurrentItem | None:
    items = (
        ReaderStudyItemRow.study_id == study_id,
        ReaderStudyItemRow.person_id == person_id,
    )
    done = select(ReaderStudyEntryRow.item_id).where(
        ReaderStudyEntryRow.item_id == ReaderStudyItemRow.id,
        ReaderStudyEntryRow.stage == Stage.GUESSED.value,
    )
    chosen = (
        select(
            ReaderStudyItemRow.id,
            ReaderStudyItemRow.position,
            ReaderStudyCaseRow.study_uid,
            ReaderStudyCaseRow.sop_instance_uid,
        )
        .join(ReaderStudyTextRow, ReaderStudyTextRow.id == ReaderStudyItemRow.text_id)
        .join(ReaderStudyCaseRow, ReaderStudyCaseRow.id == ReaderStudyTextRow.case_id)
        .where(*items, ~done.exists())
        .order_by(ReaderStudyItemRow.position)
        .limit(1)
    )
    found = session.execute(chosen).first()
    if found is None:
        return None
    stages = session.scalars(
        select(ReaderStudyEntryRow.stage).where(ReaderStudyEntryRow.item_id == found.id)
    )
    total = session.scalar(select(func.count()).select_from(ReaderStudyItemRow).where(*items))
    return CurrentItem(
        id=found.id,
        study_uid=found.study_uid,
        sop_instance_uid=found.sop_instance_uid,
        position=found.position,
        items=total or 0,
        stage=max((Stage(each) for each in stages), key=_ORDER.index, default=None),
    )


def _study(session: Session, row: ReaderStudyRow) -> ReaderStudy:
    cases = select(func.count()).select_from(ReaderStudyCaseRow)
    readers = session.scalars(
        select(ReaderStudyReaderRow)
        .where(ReaderStudyReaderRow.study_id == row.id)
        .order_by(ReaderStudyReaderRow.login)
    )
    return ReaderStudy(
        id=row.id,
        name=row.name,
        margin=row.margin,
        cases=session.scalar(cases.where(ReaderStudyCaseRow.study_id == row.id)) or 0,
        created_at=row.created_at,
        created_by=row.created_by,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        readers=[_progress(session, each) for each in readers.all()],
    )


def _progress(session: Session, row: ReaderStudyReaderRow) -> ReaderProgress:
    done = (
        select(
            func.count(ReaderStudyItemRow.id),
            func.count(ReaderStudyEntryRow.item_id),
            func.max(ReaderStudyEntryRow.at),
        )
        .outerjoin(
            ReaderStudyEntryRow,
            (ReaderStudyEntryRow.item_id == ReaderStudyItemRow.id)
            & (ReaderStudyEntryRow.stage == Stage.GUESSED.value),
        )
        .where(
            ReaderStudyItemRow.study_id == row.study_id,
            ReaderStudyItemRow.person_id == row.person_id,
        )
    )
    items, finished, last = session.execute(done).one()
    return ReaderProgress(
        person_id=row.person_id,
        login=row.login,
        name=row.name,
        gap=row.gap,
        items=items,
        done=finished,
        last_at=last,
    )
