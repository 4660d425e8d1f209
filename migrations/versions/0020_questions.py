"""Questions about images and the model's answers."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

TABLE = "questions"
TIME = sa.DateTime(timezone=True)
_IS_OPEN = sa.text("state IN ('WAITING', 'ANSWERING')")


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("person_id", sa.String(64), nullable=False),
        sa.Column("person_name", sa.String(194), nullable=False),
        sa.Column("idempotency_key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("fault", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("model_weights", sa.String(64), nullable=False),
        sa.Column("prompt_sha256", sa.String(64), nullable=False),
        sa.Column("earlier", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        *(sa.Column(name, TIME) for name in ("begun_at", "ended_at", "published_at")),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(128), nullable=False),
        sa.Column("lease_until", TIME),
        sa.PrimaryKeyConstraint("id", name=f"pk_{TABLE}"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=f"fk_{TABLE}_job_id"),
        sa.UniqueConstraint(
            "person_id", "idempotency_key", name=f"uq_{TABLE}_person_id_idempotency_key"
        ),
    )
    for column in ("study_instance_uid", "job_id", "updated_at"):
        op.create_index(f"ix_{TABLE}_{column}", TABLE, [column])
    op.create_index(f"ix_{TABLE}_person_id_created_at", TABLE, ["person_id", "created_at"])
    op.create_index(
        f"ix_{TABLE}_open",
        TABLE,
        ["created_at"],
        sqlite_where=_IS_OPEN,
        postgresql_where=_IS_OPEN,
    )


def downgrade() -> None:
    op.drop_table(TABLE)
