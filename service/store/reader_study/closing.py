"""Closes reader studies, and returns what was said about each arm afterwards."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.reader_study_tables import (
    ReaderStudyCaseRow,
    ReaderStudyEntryRow,
    ReaderStudyItemRow,
    ReaderStudyKeyRow,
    ReaderStudyReaderRow,
    ReaderStudyRow,
    ReaderStudyTextRow,
)
from service.reader_study.errors import ReaderStudyConflict
from service.reader_study.ratings import RatingEntry
from service.reader_study.study import RatedItem
from service.reader_study.words import Arm, Author, Stage
from service.store.audit.append import Audited
from service.store.reader_study.reading import study_row

_LEGIBLE: Final = re.compile(r"\S")
_FILLER: Final = "x"
_Entry = tuple[datetime, Mapping[str, Any]]


class ReaderStudyClosing(Audited):
    """The part of the store that closes reader studies; only here the arms are read."""

    def close_reader_study(self, study_id: str, actor: str, audit: AuditEvent | None) -> None:
        """Close a study for good, which shows the arms; nothing more is recorded in it.

        Raises:
            NotFound: There is no such study.
            ReaderStudyConflict: It is closed already.
        """
        with self._writing() as session:
            study_row(session, study_id)
            chosen = select(ReaderStudyRow).where(ReaderStudyRow.id == study_id)
            row = session.scalars(chosen.with_for_update()).one()
            if row.closed_at is not None:
                raise ReaderStudyConflict("This reader study is closed already.")
            row.closed_at, row.closed_by = self.now(), actor
            self._audit(session, audit, detail=f"{row.name} ({study_id})")

    def reader_study_results(self, study_id: str) -> list[RatedItem]:
        """Return every item of a closed study with its arm, by reader and position.

        Raises:
            NotFound: There is no such study.
            ReaderStudyConflict: It is open: its arms are hidden.
        """
        with self._reading() as session:
            if study_row(session, study_id).closed_at is None:
                raise ReaderStudyConflict(
                    "This reader study is open: its results are shown after it is closed."
                )
            return _results(session, study_id)

    def forget_reader_study_texts(self, study_uid: str) -> None:
        """Make the texts about an image illegible whose files were removed; ratings and places stay."""
        cases = select(ReaderStudyCaseRow.id).where(ReaderStudyCaseRow.study_uid == study_uid)
        with self._reading() as session:
            if session.scalar(cases.limit(1)) is None:
                return
        texts = select(ReaderStudyTextRow).where(ReaderStudyTextRow.case_id.in_(cases))
        entries = (
            select(ReaderStudyEntryRow)
            .join(ReaderStudyItemRow, ReaderStudyItemRow.id == ReaderStudyEntryRow.item_id)
            .join(ReaderStudyTextRow, ReaderStudyTextRow.id == ReaderStudyItemRow.text_id)
            .where(
                ReaderStudyTextRow.case_id.in_(cases),
                ReaderStudyEntryRow.stage == Stage.RATED.value,
            )
        )
        with self._writing() as session:
            for entry in session.scalars(entries).all():
                if entry.content.get("edited"):
                    edited = _illegible(entry.content["edited"])
                    entry.content = {**entry.content, "edited": edited}
            for row in session.scalars(texts).all():
                row.text = _illegible(row.text)


def _illegible(text: str) -> str:
    """Return a text of the same length: marked errors keep their places."""
    return _LEGIBLE.sub(_FILLER, text)


def _results(session: Session, study_id: str) -> list[RatedItem]:
    entries: dict[tuple[str, str], _Entry] = {
        (row.item_id, row.stage): (row.at, row.content)
        for row in session.scalars(
            select(ReaderStudyEntryRow)
            .join(ReaderStudyItemRow, ReaderStudyItemRow.id == ReaderStudyEntryRow.item_id)
            .where(ReaderStudyItemRow.study_id == study_id)
        )
    }
    chosen = (
        select(
            ReaderStudyItemRow,
            ReaderStudyReaderRow.login,
            ReaderStudyCaseRow,
            ReaderStudyKeyRow,
            ReaderStudyTextRow.text,
        )
        .join(ReaderStudyTextRow, ReaderStudyTextRow.id == ReaderStudyItemRow.text_id)
        .join(ReaderStudyKeyRow, ReaderStudyKeyRow.text_id == ReaderStudyTextRow.id)
        .join(ReaderStudyCaseRow, ReaderStudyCaseRow.id == ReaderStudyTextRow.case_id)
        .join(
            ReaderStudyReaderRow,
            (ReaderStudyReaderRow.study_id == ReaderStudyItemRow.study_id)
            & (ReaderStudyReaderRow.person_id == ReaderStudyItemRow.person_id),
        )
        .where(ReaderStudyItemRow.study_id == study_id)
        .order_by(ReaderStudyReaderRow.login, ReaderStudyItemRow.position)
    )
    found = []
    for item, login, case, key, text in session.execute(chosen):
        opened, rated, guessed = (entries.get((item.id, stage.value)) for stage in Stage)
        found.append(
            RatedItem(
                reader=login,
                position=item.position,
                case_label=case.label,
                study_uid=case.study_uid,
                arm=Arm(key.arm),
                source=key.source,
                text_id=item.text_id,
                text=text,
                is_repeat=item.is_repeat,
                opened_at=opened and opened[0],
                rated_at=rated and rated[0],
                rating=RatingEntry.from_json(rated[1], length=len(text)) if rated else None,
                author=Author(guessed[1]["author"]) if guessed else None,
            )
        )
    return found
