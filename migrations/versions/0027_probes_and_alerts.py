"""End-to-end checks; alerts of incidents and the notifications that announce them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0033"

TIME = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNCLEANED = sa.text("cleaned_at IS NULL")
OPEN = sa.text("closed_at IS NULL")
WAITING = sa.text("ended_at IS NULL")
UNSEEN = sa.text("NOT alerted")


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _needed(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _times(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, TIME) for name in names]


def _partial(name: str, table: str, columns: list[str], where: sa.TextClause, **more: Any) -> None:  # noqa: ANN401 - of the index
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where, **more)


def upgrade() -> None:
    op.create_table(
        "probes",
        _text("id", 32),
        _text("slot", 48),
        _needed("started_at", TIME),
        _text("study_instance_uid", 64),
        _text("sop_instance_uid", 64),
        _text("digest", 64),
        _text("stage", 16),
        _text("outcome", 16),
        _needed("reason", sa.Text()),
        _needed("reached", sa.JSON()),
        _needed("left_at", sa.JSON()),
        _text("owner", 128),
        *_times("ended_at", "cleaned_at", "lease_until", "not_before"),
        sa.PrimaryKeyConstraint("id", name="pk_probes"),
        sa.UniqueConstraint("slot", name="uq_probes_slot"),
        sa.UniqueConstraint("study_instance_uid", name="uq_probes_study_instance_uid"),
    )
    _partial("ix_probes_uncleaned", "probes", ["study_instance_uid"], UNCLEANED)
    op.create_index("ix_probes_started_at", "probes", ["started_at"])
    _make_alerts()
    _make_notifications()
    op.add_column(
        "incidents", sa.Column("alerted", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    # Earlier incidents open no alerts: a person has seen them on the page.
    op.execute("UPDATE incidents SET alerted = true")
    _partial("ix_incidents_unalerted", "incidents", ["id"], UNSEEN)


def _make_alerts() -> None:
    op.create_table(
        "incident_alerts",
        _needed("id", COUNTER),
        _text("kind", 64),
        _text("subject", 255),
        _needed("opened_at", TIME),
        _needed("last_at", TIME),
        _needed("count", sa.Integer()),
        _needed("detail", sa.Text()),
        _needed("occurrence", sa.Integer()),
        _text("acknowledged_by", 128),
        *_times("recovered_at", "acknowledged_at", "closed_at"),
        sa.PrimaryKeyConstraint("id", name="pk_incident_alerts"),
    )
    _partial("ux_incident_alerts_open", "incident_alerts", ["kind", "subject"], OPEN, unique=True)
    op.create_index("ix_incident_alerts_opened_at", "incident_alerts", ["opened_at"])


def _make_notifications() -> None:
    op.create_table(
        "notifications",
        _needed("id", COUNTER),
        _needed("alert_id", COUNTER),
        _text("target", 40),
        _text("event", 16),
        _needed("number", sa.Integer()),
        _needed("created_at", TIME),
        _needed("not_before", TIME),
        _needed("attempts", sa.Integer()),
        _text("outcome", 16),
        _needed("last_error", sa.Text()),
        *_times("ended_at", "lease_until"),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["incident_alerts.id"], name="fk_notifications_alert_id"
        ),
        sa.UniqueConstraint(
            "alert_id",
            "target",
            "event",
            "number",
            name="uq_notifications_alert_id_target_event_number",
        ),
    )
    _partial("ix_notifications_waiting", "notifications", ["not_before"], WAITING)


def downgrade() -> None:
    op.drop_index("ix_incidents_unalerted", "incidents")
    with op.batch_alter_table("incidents") as incidents:
        incidents.drop_column("alerted")
    for table in ("notifications", "incident_alerts", "probes"):
        op.drop_table(table)
