"""Rows of readings, decisions and final reports; reference periods, charts and alerts of drift."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

TIME = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("acknowledged_at IS NULL")


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _needed(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.create_table(
        "monitor_rows",
        _text("kind", 16),
        _text("source_id", 32),
        _text("job_id", 32),
        _text("study_uid", 64),
        _needed("at", TIME),
        _text("day", 10),
        _text("outcome", 16),
        *(_needed(name, sa.JSON()) for name in ("categories", "events", "numbers")),
        sa.PrimaryKeyConstraint("kind", "source_id", name="pk_monitor_rows"),
    )
    op.create_index("ix_monitor_rows_at", "monitor_rows", ["at", "kind", "source_id"])
    op.create_index("ix_monitor_rows_kind_at", "monitor_rows", ["kind", "at"])
    op.create_index("ix_monitor_rows_job_id", "monitor_rows", ["job_id", "kind"])
    op.create_table(
        "drift_references",
        _needed("id", COUNTER),
        _text("first_day", 10),
        _text("last_day", 10),
        _needed("accepted_at", TIME),
        _text("accepted_by", 128),
        _needed("models", sa.JSON()),
        _needed("summary", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_drift_references"),
    )
    _make_alerts()
    op.create_table(
        "drift_charts",
        _text("name", 64),
        _needed("position", sa.Integer()),
        _needed("computed_at", TIME),
        _needed("content", sa.JSON()),
        sa.PrimaryKeyConstraint("name", name="pk_drift_charts"),
    )


def _make_alerts() -> None:
    op.create_table(
        "drift_alerts",
        _needed("id", COUNTER),
        _needed("reference_id", COUNTER),
        _text("chart", 64),
        _text("title", 128),
        _text("level", 8),
        _needed("words", sa.Text()),
        _needed("first", TIME),
        _needed("last", TIME),
        _needed("n", sa.Integer()),
        _needed("subgroup", sa.Text()),
        _needed("changes", sa.JSON()),
        _needed("cases", sa.JSON()),
        _needed("opened_at", TIME),
        sa.Column("acknowledged_at", TIME),
        _text("acknowledged_by", 128),
        _needed("note", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_drift_alerts"),
        sa.ForeignKeyConstraint(
            ["reference_id"], ["drift_references.id"], name="fk_drift_alerts_reference_id"
        ),
    )
    op.create_index(
        "ux_drift_alerts_open_chart",
        "drift_alerts",
        ["chart"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index("ix_drift_alerts_opened_at", "drift_alerts", ["opened_at", "id"])


def downgrade() -> None:
    for table in ("drift_charts", "drift_alerts", "drift_references", "monitor_rows"):
        op.drop_table(table)
