"""The column of a film's digest is no longer named after the algorithm; the digests stay."""

from alembic import op

revision = "0005"
down_revision = "0004"

_UNIQUE = "uq_instances_sop_instance_uid_"


def upgrade() -> None:
    _rename("sha256", "digest")


def downgrade() -> None:
    _rename("digest", "sha256")


def _rename(old: str, new: str) -> None:
    op.execute(f"ALTER TABLE instances RENAME COLUMN {old} TO {new}")
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE instances RENAME CONSTRAINT {_UNIQUE}{old} TO {_UNIQUE}{new}")
        return
    # SQLite cannot rename a constraint: the table is copied.
    with op.batch_alter_table("instances") as table:
        table.drop_constraint(f"{_UNIQUE}{old}", type_="unique")
        table.create_unique_constraint(f"{_UNIQUE}{new}", ["sop_instance_uid", new])
