"""Stops of drafting, the model that reads new studies, and what the workers have loaded."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

STOPS, CHOICES, LOADED = "drafting_stops", "model_choices", "loaded_models"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        STOPS,
        sa.Column("id", number, primary_key=True),
        sa.Column("holds", sa.Boolean, nullable=False),
        sa.Column("stopped_at", time, nullable=False),
        sa.Column("stopped_by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("started_at", time),
        sa.Column("started_by", sa.String(128), nullable=False),
        sa.Column("requeued_at", time),
    )
    op.create_index(
        "ux_drafting_stops_holds",
        STOPS,
        ["holds"],
        unique=True,
        sqlite_where=sa.text("holds = 1"),
        postgresql_where=sa.text("holds"),
    )
    op.create_table(
        CHOICES,
        sa.Column("id", number, primary_key=True),
        sa.Column("at", time, nullable=False),
        sa.Column("chosen_by", sa.String(128), nullable=False),
        sa.Column("model_name", sa.String(64), nullable=False),
    )
    op.create_table(
        LOADED,
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("loaded_at", time, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("role", "host", name=f"pk_{LOADED}"),
    )


def downgrade() -> None:
    for table in (LOADED, CHOICES, STOPS):
        op.drop_table(table)
