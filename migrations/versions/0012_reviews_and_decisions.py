"""Reviews of drafts, decisions, verified reports, and notices to their authors."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

TIME = sa.DateTime(timezone=True)
UID = sa.String(64)
ID = sa.String(32)
PERSON = sa.String(64)
NAME = sa.String(194)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _of(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}")


def upgrade() -> None:
    _make_reviews()
    _make_decisions()
    op.create_table(
        "decision_undos",
        sa.Column("decision_id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        _key("decision_undos", "decision_id"),
        _of("decision_undos", "decision_id", "decisions"),
    )
    _make_reports()


def _make_reviews() -> None:
    op.create_table(
        "review_drafts",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("reviewer_id", PERSON, nullable=False),
        sa.Column("reviewer_name", NAME, nullable=False),
        sa.Column("at", TIME, nullable=False),
        _key("review_drafts", "job_id"),
        _of("review_drafts", "job_id", "jobs"),
    )
    op.create_table(
        "review_opens",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("reviewer_id", PERSON, nullable=False),
        sa.Column("reviewer_name", NAME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        _key("review_opens", "job_id", "reviewer_id"),
        _of("review_opens", "job_id", "jobs"),
    )
    op.create_index("ix_review_opens_seen_at", "review_opens", ["seen_at"])


def _make_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("study_instance_uid", UID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("amends", ID, nullable=False),
        sa.Column("idempotency_key", sa.String(64), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("undo_until", TIME, nullable=False),
        sa.Column("reviewer_id", PERSON, nullable=False),
        sa.Column("reviewer_name", NAME, nullable=False),
        sa.Column("reviewer_organization", sa.Text(), nullable=False),
        sa.Column("reviewer_code", sa.JSON()),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("rejection", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("acceptability", sa.Integer()),
        *(
            sa.Column(name, sa.JSON(), nullable=False)
            for name in ("content", "draft_findings", "draft_impression")
        ),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("share", sa.Float()),
        sa.Column("sentences", sa.Integer(), nullable=False),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("opcodes", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("seconds_image", sa.Float()),
        sa.Column("seconds_draft", sa.Float()),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("positive", sa.JSON(), nullable=False),
        sa.Column("device", sa.String(16), nullable=False),
        *(
            sa.Column(name, sa.String(64), nullable=False)
            for name in ("model_name", "model_version", "model_weights", "draft_uid")
        ),
        _key("decisions", "id"),
        _of("decisions", "job_id", "jobs"),
        sa.UniqueConstraint("job_id", "number", name="uq_decisions_job_id_number"),
        sa.UniqueConstraint(
            "reviewer_id", "idempotency_key", name="uq_decisions_reviewer_id_idempotency_key"
        ),
    )
    op.create_index("ix_decisions_at_id", "decisions", ["at", "id"])
    op.create_index("ix_decisions_study_instance_uid", "decisions", ["study_instance_uid"])


def _make_reports() -> None:
    op.create_table(
        "verified_reports",
        sa.Column("decision_id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        *(
            sa.Column(name, UID, nullable=False)
            for name in (
                "sop_class_uid",
                "sop_instance_uid",
                "series_instance_uid",
                "predecessor_uid",
            )
        ),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        _key("verified_reports", "decision_id"),
        _of("verified_reports", "decision_id", "decisions"),
        sa.UniqueConstraint("job_id", "revision", name="uq_verified_reports_job_id_revision"),
    )
    op.create_table(
        "author_notices",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("decision_id", ID, nullable=False),
        sa.Column("reviewer_id", PERSON, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("seen_at", TIME),
        _key("author_notices", "id"),
        _of("author_notices", "decision_id", "decisions"),
        sa.UniqueConstraint(
            "decision_id", "kind", "subject", name="uq_author_notices_decision_id_kind_subject"
        ),
    )
    op.create_index("ix_author_notices_reviewer_id", "author_notices", ["reviewer_id"])


def downgrade() -> None:
    # Notices of verified reports mean nothing to the revision before.
    op.execute("DELETE FROM deliveries WHERE notice LIKE 'verified-%'")
    for table in (
        "author_notices",
        "verified_reports",
        "decision_undos",
        "decisions",
        "review_opens",
        "review_drafts",
    ):
        op.drop_table(table)
