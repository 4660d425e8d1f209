"""Figures of each hour, changes of the service, and the cause of a failure in the history of its job."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

TIME = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FAILED = sa.text("action = 'fail'")


def upgrade() -> None:
    op.create_table(
        "hourly_figures",
        sa.Column("hour", TIME, nullable=False),
        sa.Column("latency", sa.JSON(), nullable=False),
        sa.Column("waiting", sa.Integer()),
        sa.Column("oldest_seconds", sa.Float()),
        sa.Column("computed_at", TIME),
        sa.PrimaryKeyConstraint("hour", name="pk_hourly_figures"),
    )
    op.create_table(
        "hourly_counts",
        sa.Column("dimension", sa.String(16), nullable=False),
        sa.Column("hour", TIME, nullable=False),
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("dimension", "hour", "key", name="pk_hourly_counts"),
    )
    op.create_table(
        "service_changes",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_changes"),
    )
    op.create_index("ix_service_changes_at", "service_changes", ["at"])
    op.create_index("ix_studies_first_arrival", "studies", ["first_arrival"])
    # Not in a batch: SQLite would copy the table, which has millions of rows.
    op.add_column("job_events", sa.Column("code", sa.String(64), nullable=False, server_default=""))
    op.create_index(
        "ix_job_events_failed",
        "job_events",
        ["at"],
        sqlite_where=FAILED,
        postgresql_where=FAILED,
    )


def downgrade() -> None:
    op.drop_index("ix_job_events_failed", "job_events")
    op.drop_column("job_events", "code")
    op.drop_index("ix_studies_first_arrival", "studies")
    for table in ("service_changes", "hourly_counts", "hourly_figures"):
        op.drop_table(table)
