"""The database's revision: the actual one, the required one, and migrations, without an ini file."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url, text

from service.database.db_errors import mapped_errors
from service.database.engine import READING, make_engine
from service.errors import SchemaMismatch
from service.system.disk_space import make_folder

# Number of the advisory lock for migrations: one process at a time migrates a PostgreSQL database.
_MIGRATING = 0x57454D
# To read the revision: one row, which only a migration locks.
_BUSY_SECONDS = 5.0


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the database to `revision` in one transaction; make a missing SQLite file.

    Raises:
        ConfigurationError: The folder of the SQLite file cannot be made.
        StoreUnavailable: The database does not answer or cannot be written.
        SchemaMismatch: The database was made by a newer version.
    """
    _make_folder(url)
    _refuse_newer(current(url))
    with _migrating(url) as config:
        command.upgrade(config, revision)


def downgrade(url: str, revision: str) -> None:
    """Downgrade the database to `revision`; "base" drops all tables.

    Raises:
        StoreUnavailable: The database does not answer or cannot be written.
    """
    with _migrating(url) as config:
        command.downgrade(config, revision)


def current(url: str) -> str | None:
    """Return the database's revision; None when it is empty or does not exist yet.

    Raises:
        StoreUnavailable: The database does not answer.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return None
    engine = make_engine(url, busy_seconds=_BUSY_SECONDS).execution_options(begin=READING)
    try:
        with mapped_errors(), engine.begin() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


@cache
def head() -> str:
    """Return the revision that this code needs.

    Raises:
        SchemaMismatch: The installation has no migrations.
    """
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise SchemaMismatch("this installation has no migrations")
    return revision


@cache
def revisions() -> frozenset[str]:
    """Return all revisions that this code knows, the one that it needs included."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return frozenset(str(script.revision) for script in scripts)


def check(url: str) -> None:
    """Check that the database is at the revision that this code needs; leave nothing created.

    Missing folders of an SQLite file are made and removed again, to check that they can be made.

    Raises:
        ConfigurationError: The folder of the SQLite file is missing and cannot be made.
        StoreUnavailable: The database does not answer.
        SchemaMismatch: The database is at another revision, or empty.
    """
    _check_folder(url)
    at = current(url)
    _refuse_newer(at)
    if at != head():
        raise SchemaMismatch(
            f"the database is at revision {at or 'none'}, needed is {head()}: run `wetread db upgrade`",
            is_empty=at is None,
        )


def _refuse_newer(at: str | None) -> None:
    if at is not None and at not in revisions():
        raise SchemaMismatch(
            f"the database is at revision {at}, which this version does not know: it was created by a "
            "newer version. Install that version again, or restore a backup made before the upgrade "
            f"(needed is {head()})"
        )


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _migrating(url: str) -> Iterator[Config]:
    engine = make_engine(url, busy_seconds=None)
    try:
        with mapped_errors(), engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MIGRATING})
            yield _config(connection)
    finally:
        engine.dispose()


def sqlite_file(url: str) -> Path | None:
    """Return the path of an SQLite database; None for another one."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database)


def _make_folder(url: str) -> None:
    file = sqlite_file(url)
    if file is not None:
        make_folder(file.parent, "data_dir or database.url")


def _check_folder(url: str) -> None:
    """Check that the folder of the SQLite file exists, or that `upgrade` can make it."""
    file = sqlite_file(url)
    if file is None:
        return
    missing = [each for each in (file.parent, *file.parent.parents) if not each.exists()]
    if missing:
        _make_folder(url)
        # Removed again: the folders would belong to the user of this command, not of the service.
        with suppress(OSError):
            for each in missing:
                each.rmdir()
