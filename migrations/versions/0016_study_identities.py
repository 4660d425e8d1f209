"""Who the patient of each study is, as long as its images are here."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

TABLE = "study_identities"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("instance_id", sa.BigInteger(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(64), nullable=False),
        sa.Column("birth_date", sa.String(16), nullable=False),
        sa.Column("sex", sa.String(16), nullable=False),
        sa.Column("accession_number", sa.String(64), nullable=False),
        sa.Column("study_date", sa.String(16), nullable=False),
        sa.Column("description", sa.String(64), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", name=f"pk_{TABLE}"),
        sa.ForeignKeyConstraint(
            ["study_uid"], ["studies.study_instance_uid"], name=f"fk_{TABLE}_study_uid"
        ),
    )
    for column in ("instance_id", "patient_id", "accession_number"):
        op.create_index(f"ix_{TABLE}_{column}", TABLE, [column])


def downgrade() -> None:
    op.drop_table(TABLE)
