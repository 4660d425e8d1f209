"""Drafts that are withheld until the final report arrives, and the key that chooses them."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"

TABLE = "withheld_drafts"
KEYS = "withholding_keys"
TIME = sa.DateTime(timezone=True)
IS_WITHHELD = sa.text("released_at IS NULL")


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("destinations", sa.JSON(), nullable=False),
        sa.Column("withheld_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("released_at", TIME),
        sa.Column("release", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=f"pk_{TABLE}"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=f"fk_{TABLE}_job_id"),
    )
    op.create_index(
        "ix_withheld_drafts_open",
        TABLE,
        ["withheld_at"],
        sqlite_where=IS_WITHHELD,
        postgresql_where=IS_WITHHELD,
    )
    op.create_table(
        KEYS,
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{KEYS}"),
    )


# The version before does not know such drafts, so they are released: none may be lost.
HELD = f"""FROM {TABLE} w JOIN jobs j ON j.id = w.job_id
    WHERE w.released_at IS NULL AND j.state = 'DRAFTED' AND j.reason_code = 'WITHHELD'"""
DELIVERY = """INSERT INTO deliveries
    (job_id, destination, state, created_at, attempts, first_error, last_error, lease_owner, fence)
    VALUES (:job, :name, 'PENDING', :now, 0, '', '', '', 0)"""


def _release() -> None:
    connection = op.get_bind()
    held = sa.text(f"SELECT w.job_id, w.destinations, j.superseded_by {HELD}")
    found = connection.execute(held.columns(destinations=sa.JSON())).all()
    add = sa.text(DELIVERY).bindparams(sa.bindparam("now", datetime.now(UTC), type_=TIME))
    state = sa.text("UPDATE jobs SET state = :state, reason_code = '', reason = '' WHERE id = :job")
    for job, names, later in found:
        ended = "CANCELED" if later else "DRAFTED" if names else "COMPLETED"
        connection.execute(state, {"state": ended, "job": job})
        for name in () if later else names:
            connection.execute(add, {"job": job, "name": name})


def downgrade() -> None:
    _release()
    op.drop_table(KEYS)
    op.drop_table(TABLE)
