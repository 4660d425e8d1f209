"""The internal part of psycopg that we use: the error of a wait that exceeded its limit."""

from typing import Final

import psycopg
from psycopg import errors

from dicom.library import Library

LIBRARY: Final = Library(
    name="psycopg",
    tested=("3.3.9",),
    consequence=(
        "an answer of PostgreSQL is limited by the server's statement_timeout and by TCP only, not "
        "by this process"
    ),
)

CAN_LIMIT_WAITS: Final = LIBRARY.is_tested
WaitTimeout: type[psycopg.Error] = getattr(errors, "_WaitTimeout", psycopg.OperationalError)
