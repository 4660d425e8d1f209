"""Drafts that are withheld until the final report arrives, and the key that chooses them."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"

TABLE = "withheld_drafts"
KEYS = "withholding_keys"
TIME = sa.DateTime(timezone=True)
IS_WITHHELD = sa.text("released_at IS NULL")


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("destinations", sa.JSON(), nullable=False),
        sa.Column("withheld_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("released_at", TIME),
        sa.Column("release", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=f"pk_{TABLE}"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=f"fk_{TABLE}_job_id"),
    )
    op.create_index(
        "ix_withheld_drafts_open",
        TABLE,
        ["withheld_at"],
        sqlite_where=IS_WITHHELD,
        postgresql_where=IS_WITHHELD,
    )
    op.create_table(
        KEYS,
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{KEYS}"),
    )


def downgrade() -> None:
    op.drop_table(KEYS)
    op.drop_table(TABLE)
