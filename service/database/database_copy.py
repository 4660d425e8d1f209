"""Makes a consistent copy of the database while it is in use, and a database from a copy."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo
from sqlalchemy import inspect, make_url

from service.database.db_errors import mapped_errors
from service.database.engine import make_engine
from service.errors import ConfigurationError, StoreError
from service.settings.config import child_environment

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
_PROGRAMS: Final = Path("/usr/lib/postgresql")  # on Debian, a folder for each version
# All pages in one step: a copy in several steps starts again after each write of another process
# (sqlite.org/backup.html), so that it may never end on a busy site.
_PAGES: Final = -1


def kind_of(url: str) -> str:
    """Return `sqlite` or `postgresql`."""
    return make_url(url).get_backend_name()


def copy_name(url: str) -> str:
    """Return the name of the copy's file."""
    return "wetread.db" if kind_of(url) == SQLITE else "wetread.dump"


def dump(url: str, target: Path) -> None:
    """Write a copy of the database, as it is at one moment, to a new file.

    Raises:
        ConfigurationError: pg_dump is not on this machine.
        StoreError: The database cannot be copied, or the copy is damaged.
    """
    if kind_of(url) == SQLITE:
        _copy_sqlite(Path(make_url(url).database or ""), target)
        return
    program = _program("pg_dump")
    if program is None:
        raise ConfigurationError(
            "pg_dump is not on this machine: install it (Debian: postgresql-client), or run, where it "
            f'is, `pg_dump --format=custom --file=wetread.dump "{_conninfo(url)}"`, then here '
            "`wetread backup FOLDER --dump wetread.dump`"
        )
    _run(url, program, "--format=custom", f"--file={target}")


def load(url: str, copy: Path) -> None:
    """Fill the empty database at `url` from a copy.

    Raises:
        ConfigurationError: pg_restore is not on this machine.
        StoreError: The copy cannot be loaded.
    """
    if kind_of(url) == SQLITE:
        path = Path(make_url(url).database or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        _copy_sqlite(copy, path)
        return
    # No comments: those of an extension may be set by its owner only.
    options = ("--no-owner", "--no-privileges", "--no-comments", "--single-transaction")
    _run(url, _restoring_program(), *options, "--exit-on-error", str(copy))


def check_can_load(url: str) -> None:
    """Return when this machine has the program that `load` needs.

    Raises:
        ConfigurationError: pg_restore is not on this machine.
    """
    if kind_of(url) != SQLITE:
        _restoring_program()


def _restoring_program() -> str:
    program = _program("pg_restore")
    if program is None:
        raise ConfigurationError(
            "pg_restore is not on this machine: install it (Debian: postgresql-client)"
        )
    return program


def is_empty(url: str) -> bool:
    """Return whether the database has no table (PostgreSQL), or its file does not exist (SQLite).

    Raises:
        StoreUnavailable: The database does not answer.
    """
    if kind_of(url) == SQLITE:
        return not Path(make_url(url).database or "").exists()
    engine = make_engine(url)
    try:
        with mapped_errors(), engine.connect() as connection:
            return not inspect(connection).get_table_names()
    finally:
        engine.dispose()


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(source, timeout=20)) as database,
            closing(sqlite3.connect(target)) as copy,
        ):
            database.backup(copy, pages=_PAGES)
            (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"the database cannot be copied from {source}: {error}") from None
    if verdict != "ok":
        raise StoreError(f"the copy of the database is damaged: {verdict}")


def _program(name: str) -> str | None:
    """Return the newest PostgreSQL program of this name, as an older one refuses a newer server."""
    versions = sorted(
        _PROGRAMS.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]), reverse=True
    )
    return str(versions[0]) if versions else shutil.which(name)


def _conninfo(url: str) -> str:
    """Return libpq's connection string without the password."""
    parsed = make_url(url)
    parts = {
        "host": parsed.host,
        "port": str(parsed.port) if parsed.port else None,
        "user": parsed.username,
        "dbname": parsed.database,
        **{key: value for key, value in parsed.query.items() if isinstance(value, str)},
    }
    return make_conninfo(**{key: value for key, value in parts.items() if value is not None})


def _run(url: str, program: str, *arguments: str) -> None:
    # In the environment: other users of the machine can read a process's arguments.
    password = make_url(url).password
    environment = child_environment(**({"PGPASSWORD": str(password)} if password else {}))
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program, no shell
        [program, f"--dbname={_conninfo(url)}", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason was given"]
        raise StoreError(f"{Path(program).name} failed: {lines[0]}")
