"""Final reports that came back: labels, the study they are of, and their state."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

TABLE = "final_reports"
TIME = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WAITING = sa.text("state IN ('unlabeled', 'no draft', 'ambiguous', 'unmatched') AND NOT closed")


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", COUNTER, nullable=False),
        _text("digest", 64),
        _text("source", 8),
        sa.Column("instance_id", COUNTER, nullable=False),
        _text("report_key", 64),
        _text("status", 16),
        _text("state", 16),
        sa.Column("closed", sa.Boolean(), nullable=False),
        _text("matched_by", 24),
        _text("study_uid", 64),
        _text("job_id", 32),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("checked_at", TIME, nullable=False),
        sa.Column("reported_at", TIME),
        sa.Column("matched_at", TIME),
        _text("accession_number", 64),
        _text("given_study_uid", 64),
        _text("patient_id", 64),
        _text("issuer", 64),
        _text("study_date", 8),
        _text("labeler", 32),
        sa.Column("labels", sa.JSON()),
        sa.Column("sides", sa.JSON()),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("changed_share", sa.Float()),
        sa.Column("kept_share", sa.Float()),
        sa.Column("text", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=f"pk_{TABLE}"),
        sa.UniqueConstraint("digest", name=f"uq_{TABLE}_digest"),
    )
    for column in ("study_uid", "job_id", "report_key"):
        op.create_index(f"ix_{TABLE}_{column}", TABLE, [column])
    for column in ("matched_at", "received_at"):
        op.create_index(f"ix_{TABLE}_{column}", TABLE, [column, "id"])
    op.create_index(
        f"ix_{TABLE}_waiting", TABLE, ["id"], sqlite_where=WAITING, postgresql_where=WAITING
    )


def downgrade() -> None:
    op.drop_table(TABLE)
