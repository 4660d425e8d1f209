"""`wetread db`."""

import click

from service.database import schema
from service.settings.config import load_settings
from service.system.disk_space import make_folder


@click.group()
def db() -> None:
    """Upgrade the database schema, or show its revision."""


@db.command()
def upgrade() -> None:
    """Upgrade the database to the revision that this version needs."""
    settings = load_settings()
    make_folder(settings.data_dir, "data_dir")
    before = schema.current(settings.database_url)
    schema.upgrade(settings.database_url)
    after = schema.current(settings.database_url)
    click.echo(
        f"database: {before or 'empty'} -> {after}" if before != after else f"database: at {after}"
    )


@db.command()
def current() -> None:
    """Print the revision of the database."""
    click.echo(schema.current(load_settings().database_url) or "empty")
