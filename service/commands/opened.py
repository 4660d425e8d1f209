"""Shared by commands that use the database: the open store, and the actor that is recorded."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from service.settings.config import load_settings
from service.store import Store


@contextmanager
def open_store() -> Iterator[Store]:
    """Open the store of the settings for the length of the block.

    Raises:
        ConfigurationError: The settings cannot be used.
        StoreError: The database does not answer, or is at another revision.
    """
    store = Store.open(load_settings())
    try:
        yield store
    finally:
        store.close()


def actor() -> str:
    """Return the name under which a change is recorded: "USER (command line)"."""
    return f"{getpass.getuser()} (command line)"
