"""Counts of HL7 messages by their result."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"

TABLE = "hl7_messages"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("result", sa.String(32), nullable=False),
        sa.Column("count", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("result", name=f"pk_{TABLE}"),
    )


def downgrade() -> None:
    op.drop_table(TABLE)
