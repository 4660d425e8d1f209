"""Runs the migrations on the connection that `schema` opened, inside its transaction."""

from alembic import context

# Their tables belong to the metadata too.
from service.database import (  # noqa: F401
    alert_tables,
    drift_tables,
    final_report_tables,
    network_tables,
    probe_tables,
    reader_study_tables,
    request_tables,
    review_tables,
    search_tables,
    throughput_tables,
    withholding_tables,
)
from service.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
context.run_migrations()
