"""The audit trail, which the database itself keeps from being changed, and its way to syslog."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

TIME = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TABLE = "audit_records"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", COUNTER, nullable=False, autoincrement=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("patient_id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_records"),
    )
    op.create_index("ix_audit_records_at", TABLE, ["at"])
    for column in ("person_id", "study_uid", "patient_id"):
        op.create_index(f"ix_audit_records_{column}", TABLE, [column, "id"])
    op.create_table(
        "audit_positions",
        sa.Column("receiver", sa.String(32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("receiver", name="pk_audit_positions"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _triggers_of_sqlite()
    else:
        _trigger_of_postgresql()


def _triggers_of_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_records_no_{event.lower()} BEFORE {event} ON {TABLE} "
            "BEGIN SELECT RAISE(ABORT, 'audit records are only added'); END"
        )


def _trigger_of_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_records_only_added() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit records are only added'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER audit_records_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_records_only_added()"
    )


def downgrade() -> None:
    op.drop_table("audit_positions")
    op.drop_table(TABLE)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_records_only_added()")
