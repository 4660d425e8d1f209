"""How often a destination acknowledged what it does not list; whether a confirmation was read back."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column(
        "deliveries", sa.Column("unlisted", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("deliveries", sa.Column("read_back", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("deliveries", "read_back")
    op.drop_column("deliveries", "unlisted")
