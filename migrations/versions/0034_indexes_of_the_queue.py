"""Indexes for the filters of the queue's page, and for its text search in PostgreSQL."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0027"

HAS_REASON = sa.text("reason_code != ''")
PLAIN = {
    "ix_jobs_state_created_at": ["state", "created_at", "id"],
    "ix_jobs_calling_ae_created_at": ["calling_ae", "created_at", "id"],
    "ix_jobs_model_name_created_at": ["model_name", "created_at", "id"],
}
CAUSES = "ix_jobs_state_reason_code"
# Table and column of each text that is searched for a part.
SEARCHED = {
    "ix_studies_study_instance_uid_trigrams": ("studies", "study_instance_uid"),
    "ix_study_identities_search_text_trigrams": ("study_identities", "search_text"),
}


def upgrade() -> None:
    for name, columns in PLAIN.items():
        op.create_index(name, "jobs", columns)
    op.create_index(
        CAUSES,
        "jobs",
        ["state", "reason_code", "created_at", "id"],
        sqlite_where=HAS_REASON,
        postgresql_where=HAS_REASON,
    )
    # SQLite reads a narrow index from end to end, which is quick enough (docs/performance.md).
    if op.get_bind().dialect.name == "postgresql" and _can_use_trigrams(op.get_bind()):
        for name, (table, column) in SEARCHED.items():
            op.create_index(
                name,
                table,
                [column],
                postgresql_using="gin",
                postgresql_ops={column: "gin_trgm_ops"},
            )


def downgrade() -> None:
    # The extension remains: others may use it.
    if op.get_bind().dialect.name == "postgresql":
        for name in SEARCHED:
            op.execute(f"DROP INDEX IF EXISTS {name}")
    op.drop_index(CAUSES, "jobs")
    for name in PLAIN:
        op.drop_index(name, "jobs")


def _can_use_trigrams(connection: sa.Connection) -> bool:
    """Return whether the extension pg_trgm is there, after creating it where that is permitted.

    Without it, a search reads the whole table, within the time limit of a page.
    """
    available = sa.text("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
    if connection.scalar(available) is None:
        return False
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except sa.exc.DBAPIError:  # no permission
        return False
    return True
