"""The tables of the search for similar studies; their rows are removed with the images.

The content of vectors is in a file for each vector space (`service.search.vector_file`). In SQLite the
texts also have a full-text index, `search_words`, which triggers maintain (migration 0030).
"""

from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base, Counter, JobId


class ImageVectorRow(Base):
    """A row of a file of vectors: of an image, or free.

    Attributes:
        space: Name of the vector space.
        row_number: Row in the file of the space, from 0.
        study_uid: "" of a free row.
        image_uid: SOP Instance UID; NULL: the row is free, and its vector was overwritten.
        crc32: Of the vector's bytes in the file.
        change_number: Increases with each change in the space: a reader asks for what changed since.
    """

    __tablename__ = "image_vectors"
    __table_args__ = (
        UniqueConstraint("space", "row_number"),
        UniqueConstraint("space", "image_uid"),
        Index("ix_image_vectors_space_change_number", "space", "change_number"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    space: Mapped[str] = mapped_column(String(96))
    row_number: Mapped[int] = mapped_column(Integer)
    study_uid: Mapped[str] = mapped_column(UID, index=True)
    image_uid: Mapped[str | None] = mapped_column(UID, index=True)
    crc32: Mapped[int] = mapped_column(BigInteger)
    change_number: Mapped[int] = mapped_column(BigInteger)


class SearchTextRow(Base):
    """The text of a draft, or of a final report whose text is kept.

    Attributes:
        report_id: Row id of the final report; 0 for a draft.
        labels: Its findings, see `service.records.search.label_words`.
        words: PostgreSQL's lexemes of the text; NULL in SQLite.
    """

    __tablename__ = "search_texts"
    __table_args__ = (
        UniqueConstraint("job_id", "report_id"),
        Index("ix_search_texts_words", "words", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    study_uid: Mapped[str] = mapped_column(UID, index=True)
    job_id: Mapped[str] = mapped_column(JobId)
    report_id: Mapped[int] = mapped_column(BigInteger, index=True)
    labels: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    words: Mapped[Any] = mapped_column(Text().with_variant(TSVECTOR(), "postgresql"), nullable=True)
