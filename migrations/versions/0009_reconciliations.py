"""The latest comparison with each archive that is reconciled."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("archive", sa.String(40), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("tried_at", TIME, nullable=False),
        sa.Column("compared_at", TIME),
        sa.Column("complete_at", TIME),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("archive", name="pk_reconciliations"),
    )


def downgrade() -> None:
    op.drop_table("reconciliations")
