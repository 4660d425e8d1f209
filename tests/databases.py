"""Empty databases at the current revision."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import make_url

from service.database import schema


def make_database(url: str) -> None:
    """Make an empty database; one that exists already is upgraded.

    A file of SQLite is copied: all migrations take a second of processor time, and most tests of pages
    need a database of their own.
    """
    parsed = make_url(url)
    file = Path(parsed.database or "")
    if parsed.get_backend_name() != "sqlite" or file.exists():
        schema.upgrade(url)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(sqlite_template(), file)


@cache
def sqlite_template() -> Path:
    """Return the file of an empty SQLite database, to be copied; made once in a process."""
    folder = tempfile.mkdtemp(prefix="wetread-template-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = Path(folder) / "wetread.db"
    schema.upgrade(f"sqlite:///{file}")
    return file
