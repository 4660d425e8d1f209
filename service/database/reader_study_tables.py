"""The tables of reader studies. Texts may name a patient.

reader_studies ─< reader_study_readers
      ├────────< reader_study_cases ─< reader_study_texts ── reader_study_keys (which arm a text is of)
      └────────< reader_study_items ─< reader_study_entries (append-only: what a reader recorded)

No query for a reading page uses `reader_study_keys`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.database.review_tables import PersonId, PersonName
from service.database.tables import UID, Base, JobId, UtcTime

_Id = JobId


class ReaderStudyRow(Base):
    """A reader study.

    Attributes:
        seed: From which the order of each reader follows; readers do not see it.
        margin: Of non-inferiority.
        closed_at: When it was closed, which shows the arms; NULL while it is open.
    """

    __tablename__ = "reader_studies"

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    seed: Mapped[int] = mapped_column(BigInteger)
    margin: Mapped[float] = mapped_column(Float)
    repeat_share: Mapped[float] = mapped_column(Float)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    created_by: Mapped[str] = mapped_column(String(128))
    closed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    closed_by: Mapped[str] = mapped_column(String(128))


class ReaderStudyReaderRow(Base):
    """A reader of a study; `gap` is the least distance between two items of one case."""

    __tablename__ = "reader_study_readers"

    study_id: Mapped[str] = mapped_column(ForeignKey("reader_studies.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(PersonId, primary_key=True)
    login: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(PersonName)
    gap: Mapped[int] = mapped_column(Integer)


class ReaderStudyCaseRow(Base):
    """One image; `label` is its name in the case list."""

    __tablename__ = "reader_study_cases"
    __table_args__ = (
        Index("ix_reader_study_cases_study_id", "study_id"),
        Index("ix_reader_study_cases_study_uid", "study_uid"),
    )

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("reader_studies.id"))
    label: Mapped[str] = mapped_column(String(64))
    study_uid: Mapped[str] = mapped_column(UID)
    sop_instance_uid: Mapped[str] = mapped_column(UID)


class ReaderStudyTextRow(Base):
    """One text about a case, in the common form."""

    __tablename__ = "reader_study_texts"
    __table_args__ = (Index("ix_reader_study_texts_case_id", "case_id"),)

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("reader_study_cases.id"))
    text: Mapped[str] = mapped_column(Text)


class ReaderStudyKeyRow(Base):
    """Which arm a text is of, and the model or file that it came from."""

    __tablename__ = "reader_study_keys"

    text_id: Mapped[str] = mapped_column(ForeignKey("reader_study_texts.id"), primary_key=True)
    arm: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(160))


class ReaderStudyItemRow(Base):
    """One text at its place in the order of one reader; the id is random."""

    __tablename__ = "reader_study_items"
    __table_args__ = (UniqueConstraint("study_id", "person_id", "position"),)

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("reader_studies.id"))
    person_id: Mapped[str] = mapped_column(PersonId)
    position: Mapped[int] = mapped_column(Integer)
    text_id: Mapped[str] = mapped_column(ForeignKey("reader_study_texts.id"))
    is_repeat: Mapped[bool]


class ReaderStudyEntryRow(Base):
    """What a reader recorded at one stage of an item; never changed, and each once."""

    __tablename__ = "reader_study_entries"

    item_id: Mapped[str] = mapped_column(ForeignKey("reader_study_items.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(8), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    digest: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
