"""What each process can do, as a column of its own, and why it cannot work."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    status = sa.Column("status", sa.String(16), nullable=False, server_default="WORKING")
    op.add_column("processes", status)
    op.add_column("processes", sa.Column("reason", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    # Processes of the revision before report themselves within seconds, in words of their own.
    op.execute("DELETE FROM processes WHERE status <> 'WORKING'")
    op.drop_column("processes", "reason")
    op.drop_column("processes", "status")
