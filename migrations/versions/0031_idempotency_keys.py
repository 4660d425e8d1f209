"""The idempotency keys of the JSON API, with the responses of the requests."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

TABLE = "idempotency_keys"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        TABLE,
        sa.Column("principal", sa.String(80), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("claimed_at", time, nullable=False),
        sa.Column("acted_at", time),
        sa.Column("status", sa.Integer),
        sa.Column("response", sa.Text),
        sa.PrimaryKeyConstraint("principal", "key", name=f"pk_{TABLE}"),
    )
    op.create_index(f"ix_{TABLE}_claimed_at", TABLE, ["claimed_at"])


def downgrade() -> None:
    op.drop_table(TABLE)
