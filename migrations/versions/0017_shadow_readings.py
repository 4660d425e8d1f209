"""What shadow models read: drafts that are compared and never sent."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

TABLE = "shadow_readings"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        TABLE,
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
        ),
        sa.Column(
            "job_id",
            sa.String(32),
            sa.ForeignKey("jobs.id", name=f"fk_{TABLE}_job_id"),
            nullable=False,
        ),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("claimed_at", time, nullable=False),
        sa.Column("lease_until", time),
        sa.Column("ended_at", time),
        sa.Column("seconds", sa.Float),
        sa.Column("prompt_sha256", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("draft", sa.JSON),
        sa.Column("comparison", sa.JSON),
        sa.UniqueConstraint(
            "job_id",
            "model_name",
            "model_version",
            name=f"uq_{TABLE}_job_id_model_name_model_version",
        ),
    )
    op.create_index(f"ix_{TABLE}_study_instance_uid", TABLE, ["study_instance_uid"])
    op.create_index(f"ix_{TABLE}_model_name_claimed_at", TABLE, ["model_name", "claimed_at"])


def downgrade() -> None:
    op.drop_table(TABLE)
