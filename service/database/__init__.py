"""The database below the store: connection, mapped tables, revision, copy, errors."""
