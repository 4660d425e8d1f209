"""Rows of image vectors and texts for the search for similar studies."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0030"
down_revision = "0026"

VECTORS = "image_vectors"
TEXTS = "search_texts"
WORDS = "search_words"
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LEXEMES = sa.Text().with_variant(TSVECTOR(), "postgresql")
# SQLite's index holds no text of its own; these statements keep it equal to the table.
REMOVED = """INSERT INTO search_words (search_words, rowid, text)
    VALUES ('delete', old.id, old.text);"""
ADDED = "INSERT INTO search_words (rowid, text) VALUES (new.id, new.text);"


def upgrade() -> None:
    op.create_table(
        VECTORS,
        sa.Column("id", COUNTER, primary_key=True),
        sa.Column("space", sa.String(96), nullable=False),
        sa.Column("row_number", sa.Integer, nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("image_uid", sa.String(64)),
        sa.Column("crc32", sa.BigInteger, nullable=False),
        sa.Column("change_number", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("space", "row_number", name=f"uq_{VECTORS}_space_row_number"),
        sa.UniqueConstraint("space", "image_uid", name=f"uq_{VECTORS}_space_image_uid"),
    )
    for columns in (["study_uid"], ["image_uid"], ["space", "change_number"]):
        op.create_index(f"ix_{VECTORS}_{'_'.join(columns)}", VECTORS, columns)
    op.create_table(
        TEXTS,
        sa.Column("id", COUNTER, primary_key=True),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("report_id", sa.BigInteger, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("words", LEXEMES),
        sa.UniqueConstraint("job_id", "report_id", name=f"uq_{TEXTS}_job_id_report_id"),
    )
    for column in ("study_uid", "report_id"):
        op.create_index(f"ix_{TEXTS}_{column}", TEXTS, [column])
    op.create_index(f"ix_{TEXTS}_words", TEXTS, ["words"], postgresql_using="gin")
    if op.get_bind().dialect.name == "sqlite":
        _index_words()


def _index_words() -> None:
    op.execute(
        f"CREATE VIRTUAL TABLE {WORDS} USING fts5(text, content='{TEXTS}', content_rowid='id', "
        "tokenize='porter unicode61')"
    )
    for event, statements in (
        ("INSERT", ADDED),
        ("DELETE", REMOVED),
        ("UPDATE", f"{REMOVED} {ADDED}"),
    ):
        op.execute(
            f"CREATE TRIGGER {TEXTS}_{event.lower()} AFTER {event} ON {TEXTS} BEGIN {statements} END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP TABLE {WORDS}")  # the triggers are dropped with their table
    op.drop_table(TEXTS)
    op.drop_table(VECTORS)
