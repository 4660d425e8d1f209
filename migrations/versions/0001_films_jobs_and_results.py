"""Studies and films, jobs with their history and results, deliveries, processes, incidents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UID = sa.String(64)
JOB_ID = sa.String(32)
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _films()
    _jobs()
    _results()
    _deliveries()
    _processes_and_incidents()


def downgrade() -> None:
    for table in (
        "incidents",
        "processes",
        "deliveries",
        "result_objects",
        "job_events",
        "jobs",
        "instances",
        "studies",
    ):
        op.drop_table(table)


def _films() -> None:
    op.create_table(
        "studies",
        sa.Column("study_instance_uid", UID, nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("first_arrival", TIME, nullable=False),
        sa.Column("last_arrival", TIME, nullable=False),
        sa.Column("quiet_at", TIME),
        sa.PrimaryKeyConstraint("study_instance_uid", name="pk_studies"),
    )
    op.create_index("ix_studies_quiet_at", "studies", ["quiet_at"])
    op.create_table(
        "instances",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("study_instance_uid", UID, nullable=False),
        sa.Column("sop_instance_uid", UID, nullable=False),
        sa.Column("sop_class_uid", UID, nullable=False),
        sa.Column("series_instance_uid", UID, nullable=False),
        sa.Column("transfer_syntax_uid", UID, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("association_id", sa.String(64), nullable=False),
        sa.Column("eligible", sa.Boolean(), nullable=False),
        sa.Column("conflict", sa.Boolean(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("removed_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"],
            ["studies.study_instance_uid"],
            name="fk_instances_study_instance_uid",
        ),
        sa.UniqueConstraint(
            "sop_instance_uid", "sha256", name="uq_instances_sop_instance_uid_sha256"
        ),
    )
    op.create_index("ix_instances_study_instance_uid", "instances", ["study_instance_uid"])
    op.create_index("ix_instances_association_id", "instances", ["association_id"])
    op.create_index(
        "ux_instances_sop_instance_uid",
        "instances",
        ["sop_instance_uid"],
        unique=True,
        sqlite_where=sa.text("NOT conflict"),
        postgresql_where=sa.text("NOT conflict"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", JOB_ID, nullable=False),
        sa.Column("study_instance_uid", UID, nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("reason_code", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("produced_at", TIME),
        sa.Column("not_before", TIME),
        sa.Column("published_at", TIME),
        sa.Column("removed_at", TIME),
        sa.Column("read_through", sa.BigInteger()),
        *_attempts_and_lease(),
        sa.Column("supersedes", JOB_ID),
        sa.Column("superseded_by", JOB_ID),
        sa.Column("draft", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"],
            ["studies.study_instance_uid"],
            name="fk_jobs_study_instance_uid",
        ),
        sa.UniqueConstraint(
            "study_instance_uid",
            "model_name",
            "revision",
            name="uq_jobs_study_instance_uid_model_name_revision",
        ),
    )
    op.create_index("ix_jobs_state_published_at", "jobs", ["state", "published_at"])
    op.create_index("ix_jobs_created_at_id", "jobs", ["created_at", "id"])
    op.create_index("ix_jobs_updated_at", "jobs", ["updated_at"])


def _results() -> None:
    op.create_table(
        "job_events",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("job_id", JOB_ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("from_state", sa.String(16)),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_events"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_events_job_id"),
    )
    op.create_index("ix_job_events_job_id", "job_events", ["job_id"])
    op.create_table(
        "result_objects",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("job_id", JOB_ID, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("sop_class_uid", UID, nullable=False),
        sa.Column("sop_instance_uid", UID, nullable=False),
        sa.Column("series_instance_uid", UID, nullable=False),
        sa.Column("study_instance_uid", UID, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_result_objects"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_result_objects_job_id"),
        sa.UniqueConstraint(
            "job_id", "sop_instance_uid", name="uq_result_objects_job_id_sop_instance_uid"
        ),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("job_id", JOB_ID, nullable=False),
        sa.Column("destination", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("not_before", TIME),
        sa.Column("published_at", TIME),
        sa.Column("confirmed_at", TIME),
        *_attempts_and_lease(),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_deliveries_job_id"),
        sa.UniqueConstraint("job_id", "destination", name="uq_deliveries_job_id_destination"),
    )
    op.create_index("ix_deliveries_state_destination", "deliveries", ["state", "destination"])


def _attempts_and_lease() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_error", sa.Text(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.String(128), nullable=False),
        sa.Column("lease_until", TIME),
        sa.Column("fence", sa.Integer(), nullable=False),
    )


def _processes_and_incidents() -> None:
    op.create_table(
        "processes",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_processes"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
    )
    op.create_index("ix_incidents_at", "incidents", ["at"])
