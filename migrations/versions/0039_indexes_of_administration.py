"""Indexes for the overview, the page of models, and the actors of the audit trail.

Made within the transaction of the upgrade, which locks their tables against changes meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"

ACTORS = "ix_audit_records_actor_prefix"
# Name, table, columns and condition.
PARTIAL = (
    (
        "ix_deliveries_failed",
        "deliveries",
        ["notice", "id", "job_id", "destination"],
        sa.text("state = 'FAILED'"),
    ),
    ("ix_jobs_drafted", "jobs", ["created_at", "model_name"], sa.text("draft IS NOT NULL")),
)
# The order in which the beginning of a name is compared: as LIKE does in each database.
COLLATIONS = {"postgresql": '"C"', "sqlite": "NOCASE"}


def upgrade() -> None:
    for name, table, columns, where in PARTIAL:
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    collation = COLLATIONS[op.get_bind().dialect.name]
    op.create_index(ACTORS, "audit_records", [sa.text(f"actor COLLATE {collation}"), "id"])


def downgrade() -> None:
    op.drop_index(ACTORS, "audit_records")
    for name, table, _, _ in reversed(PARTIAL):
        op.drop_index(name, table)
