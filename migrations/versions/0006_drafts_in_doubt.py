"""A draft whose image came again with other content is in doubt, and its destinations get a notice.

Conflicts that are there already count as compared: their drafts are not put in doubt years later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ALARMED = {
    "ix_jobs_withdrawn": sa.text("reason_code = 'RECALLED'"),
    "ix_jobs_in_doubt": sa.text("doubt != ''"),
}
_UNIQUE = "uq_deliveries_job_id_destination"


def upgrade() -> None:
    op.add_column("instances", sa.Column("compared_at", sa.DateTime(timezone=True)))
    op.add_column("instances", sa.Column("differs", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE instances SET compared_at = received_at WHERE conflict")
    op.create_index(
        "ix_instances_to_compare",
        "instances",
        ["id"],
        sqlite_where=sa.text("conflict = 1 AND compared_at IS NULL"),
        postgresql_where=sa.text("conflict AND compared_at IS NULL"),
    )
    op.add_column("jobs", sa.Column("doubt", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("doubted_at", sa.DateTime(timezone=True)))
    for name, where in _ALARMED.items():
        columns = ["created_at", "id"]
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)
    with op.batch_alter_table("deliveries") as table:
        table.add_column(sa.Column("notice", sa.String(64), nullable=False, server_default=""))
        table.drop_constraint(_UNIQUE, type_="unique")
        table.create_unique_constraint(f"{_UNIQUE}_notice", ["job_id", "destination", "notice"])


def downgrade() -> None:
    op.execute("DELETE FROM deliveries WHERE notice != ''")
    with op.batch_alter_table("deliveries") as table:
        table.drop_constraint(f"{_UNIQUE}_notice", type_="unique")
        table.create_unique_constraint(_UNIQUE, ["job_id", "destination"])
        table.drop_column("notice")
    for name in _ALARMED:
        op.drop_index(name, "jobs")
    op.drop_column("jobs", "doubted_at")
    op.drop_column("jobs", "doubt")
    op.drop_index("ix_instances_to_compare", "instances")
    op.drop_column("instances", "differs")
    op.drop_column("instances", "compared_at")
