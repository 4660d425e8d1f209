"""What the latest failed try of each delivery showed; indexes for the state of each destination."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

STATE = "ix_deliveries_state_destination"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("failed_at", sa.DateTime(timezone=True)))
    op.add_column(
        "deliveries", sa.Column("trouble", sa.String(16), nullable=False, server_default="")
    )
    op.drop_index(STATE, "deliveries")
    op.create_index(f"{STATE}_created_at", "deliveries", ["state", "destination", "created_at"])
    for column in ("confirmed_at", "failed_at"):
        only = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_deliveries_destination_{column}",
            "deliveries",
            ["destination", column],
            sqlite_where=only,
            postgresql_where=only,
        )


def downgrade() -> None:
    for column in ("failed_at", "confirmed_at"):
        op.drop_index(f"ix_deliveries_destination_{column}", "deliveries")
    op.drop_index(f"{STATE}_created_at", "deliveries")
    op.create_index(STATE, "deliveries", ["state", "destination"])
    op.drop_column("deliveries", "trouble")
    op.drop_column("deliveries", "failed_at")
