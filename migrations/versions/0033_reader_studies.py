"""Blinded reader studies: cases, texts, the key of their arms, items and what readers recorded."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"

TIME = sa.DateTime(timezone=True)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _needed(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}")


def upgrade() -> None:
    op.create_table(
        "reader_studies",
        _text("id", 32),
        _text("name", 100),
        _needed("seed", sa.BigInteger()),
        _needed("margin", sa.Float()),
        _needed("repeat_share", sa.Float()),
        _needed("created_at", TIME),
        _text("created_by", 128),
        sa.Column("closed_at", TIME),
        _text("closed_by", 128),
        sa.PrimaryKeyConstraint("id", name="pk_reader_studies"),
    )
    _make_readers_and_cases()
    _make_texts()
    _make_items()


def _make_readers_and_cases() -> None:
    op.create_table(
        "reader_study_readers",
        _text("study_id", 32),
        _text("person_id", 64),
        _text("login", 64),
        _text("name", 194),
        _needed("gap", sa.Integer()),
        sa.PrimaryKeyConstraint("study_id", "person_id", name="pk_reader_study_readers"),
        _foreign("reader_study_readers", "study_id", "reader_studies"),
    )
    op.create_table(
        "reader_study_cases",
        _text("id", 32),
        _text("study_id", 32),
        _text("label", 64),
        _text("study_uid", 64),
        _text("sop_instance_uid", 64),
        sa.PrimaryKeyConstraint("id", name="pk_reader_study_cases"),
        _foreign("reader_study_cases", "study_id", "reader_studies"),
    )
    for column in ("study_id", "study_uid"):
        op.create_index(f"ix_reader_study_cases_{column}", "reader_study_cases", [column])


def _make_texts() -> None:
    op.create_table(
        "reader_study_texts",
        _text("id", 32),
        _text("case_id", 32),
        _needed("text", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_reader_study_texts"),
        _foreign("reader_study_texts", "case_id", "reader_study_cases"),
    )
    op.create_index("ix_reader_study_texts_case_id", "reader_study_texts", ["case_id"])
    op.create_table(
        "reader_study_keys",
        _text("text_id", 32),
        _text("arm", 16),
        _text("source", 160),
        sa.PrimaryKeyConstraint("text_id", name="pk_reader_study_keys"),
        _foreign("reader_study_keys", "text_id", "reader_study_texts"),
    )


def _make_items() -> None:
    op.create_table(
        "reader_study_items",
        _text("id", 32),
        _text("study_id", 32),
        _text("person_id", 64),
        _needed("position", sa.Integer()),
        _text("text_id", 32),
        _needed("is_repeat", sa.Boolean()),
        sa.PrimaryKeyConstraint("id", name="pk_reader_study_items"),
        _foreign("reader_study_items", "study_id", "reader_studies"),
        _foreign("reader_study_items", "text_id", "reader_study_texts"),
        sa.UniqueConstraint(
            "study_id",
            "person_id",
            "position",
            name="uq_reader_study_items_study_id_person_id_position",
        ),
    )
    op.create_table(
        "reader_study_entries",
        _text("item_id", 32),
        _text("stage", 8),
        _needed("at", TIME),
        _text("digest", 64),
        _needed("content", sa.JSON()),
        sa.PrimaryKeyConstraint("item_id", "stage", name="pk_reader_study_entries"),
        _foreign("reader_study_entries", "item_id", "reader_study_items"),
    )


def downgrade() -> None:
    for name in ("entries", "items", "keys", "texts", "cases", "readers"):
        op.drop_table(f"reader_study_{name}")
    op.drop_table("reader_studies")
