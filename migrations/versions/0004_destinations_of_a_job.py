"""Where the results of a job go, fixed when it is made; NULL in the jobs that are there already."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("destinations", sa.JSON()))


def downgrade() -> None:
    op.drop_column("jobs", "destinations")
