"""A person's verdict on each finding, for the figures; decisions of the revision before have none."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column(
        "decisions", sa.Column("verdicts", sa.JSON(), nullable=False, server_default="{}")
    )


def downgrade() -> None:
    op.drop_column("decisions", "verdicts")
