"""Columns and indexes for the order of the worklist, which then needs no draft to be decoded."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"

AWAITS = (
    "draft IS NOT NULL AND superseded_by IS NULL AND removed_at IS NULL AND NOT decided "
    "AND state != 'CANCELED' AND reason_code NOT IN ('RECALLED', 'WITHHELD')"
)
INDEXES = {
    "ix_jobs_awaiting_urgent": (["created_at", "id"], sa.text(f"{AWAITS} AND urgent")),
    "ix_jobs_awaiting": (
        ["urgent_finding", "created_at", "id"],
        sa.text(f"{AWAITS} AND NOT urgent"),
    ),
}
SET_URGENT = """UPDATE jobs SET urgent_finding = TRUE WHERE draft IS NOT NULL
    AND superseded_by IS NULL AND removed_at IS NULL AND EXISTS"""
# PostgreSQL extracts nothing from JSON that has the escape of NUL or of half a surrogate pair anywhere:
# such an escape is replaced.
READABLE = r"""CAST(CASE WHEN CAST(draft AS text) LIKE '%\\u0000%' OR CAST(draft AS text) ILIKE '%\\ud%'
      THEN regexp_replace(CAST(draft AS text),
        '\\u0000|\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]..', '\\ufffd', 'gi')
      ELSE CAST(draft AS text) END AS json)"""
# A draft of another form counts as one without an urgent finding, as when it is read.
FINDINGS = {
    "postgresql": f"""SELECT 1 FROM (SELECT {READABLE} AS draft) AS readable, json_array_elements(
          CASE WHEN json_typeof(readable.draft->'findings') = 'array'
          THEN readable.draft->'findings' ELSE '[]' END) AS each_one(value)
        WHERE value->>'observation' = 'pneumothorax'
          AND value->>'presence' IN ('present', 'uncertain')""",  # noqa: S608 - a constant
    "sqlite": """SELECT 1
        FROM json_each(CASE WHEN json_valid(draft) THEN draft ELSE '{}' END, '$.findings') AS each_one
        WHERE CASE WHEN each_one.type = 'object'
          THEN json_extract(each_one.value, '$.observation') = 'pneumothorax'
            AND json_extract(each_one.value, '$.presence') IN ('present', 'uncertain')
          ELSE 0 END""",
}


def upgrade() -> None:
    for name in ("urgent_finding", "decided"):
        # Not in a batch: SQLite would copy the table, which has many rows.
        op.add_column(
            "jobs", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    # Before the indexes are made, which then need no change.
    op.execute(f"{SET_URGENT} ({FINDINGS[op.get_bind().dialect.name]})")
    op.execute(
        """UPDATE jobs SET decided = TRUE WHERE id IN (
            SELECT d.job_id FROM decisions d LEFT JOIN decision_undos u ON u.decision_id = d.id
            WHERE u.decision_id IS NULL)"""
    )
    for name, (columns, where) in INDEXES.items():
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "jobs")
    for name in ("decided", "urgent_finding"):
        op.drop_column("jobs", name)
