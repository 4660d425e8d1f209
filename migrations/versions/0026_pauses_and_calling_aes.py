"""Pauses of destinations, and counts of what each calling AE has sent."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0023"

PAUSES = "destination_pauses"
CALLERS = "calling_aes"
COUNTS = "arrival_counts"
TIME = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        PAUSES,
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("destination", sa.String(40), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.Column("paused_at", TIME, nullable=False),
        sa.Column("paused_by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("resumed_at", TIME, nullable=True),
        sa.Column("resumed_by", sa.String(128), nullable=False),
        sa.Column("alerted_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=f"pk_{PAUSES}"),
    )
    op.create_index(
        f"ux_{PAUSES}_holds",
        PAUSES,
        ["destination"],
        unique=True,
        sqlite_where=sa.text("holds = 1"),
        postgresql_where=sa.text("holds"),
    )
    op.create_table(
        CALLERS,
        sa.Column("ae_title", sa.String(16), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("associated_at", TIME, nullable=True),
        sa.Column("associations", sa.BigInteger(), nullable=False),
        sa.Column("arrived_at", TIME, nullable=True),
        sa.Column("instances", sa.BigInteger(), nullable=False),
        sa.Column("studies", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("day_instances", sa.Integer(), nullable=False),
        sa.Column("day_studies", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("ae_title", name=f"pk_{CALLERS}"),
    )
    op.create_table(
        COUNTS,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("counted_through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{COUNTS}"),
    )
    op.execute(sa.text(f"INSERT INTO {COUNTS} (id, counted_through) VALUES (1, 0)"))  # noqa: S608 - a constant


def downgrade() -> None:
    op.drop_table(COUNTS)
    op.drop_table(CALLERS)
    op.drop_table(PAUSES)
