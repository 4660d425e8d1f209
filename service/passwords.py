"""Hashes of passwords: Argon2id, at most two at once, equally slow for unknown names.

The parameters are those that OWASP's password storage cheat sheet gives for Argon2id: 19 MiB, two
passes, one lane. A hash takes tens of milliseconds of one core, so that requests must not call these
functions on the event loop.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.errors import WetreadError

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Of a random, unknown password: verified for names without a password.
_DUMMY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$tJUzow1qkloxm+zIcfkv9g$"
    "4u+RrRkXIHUmIHOz4ahf82rE4byFQ9D0EQMjCSYVN6w"
)
_AT_ONCE: Final = threading.BoundedSemaphore(2)
# A request that waits longer than this for its turn is refused: so many try at once.
_WAIT_SECONDS: Final = 10.0


class TooManyLogins(WetreadError):
    """Too many passwords are being verified; the same login can succeed in some seconds."""

    retry = True


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password, with its salt and parameters.

    Raises:
        TooManyLogins: Other hashes take too long.
    """
    with _turn():
        return _HASHER.hash(password)


def verify_password(stored: str, password: str) -> bool:
    """Return whether a password has this hash; "" for an unknown name takes as long and is False.

    Raises:
        TooManyLogins: Other hashes take too long.
    """
    with _turn():
        try:
            return _HASHER.verify(stored or _DUMMY, password) and bool(stored)
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(stored: str) -> bool:
    """Return whether a hash was made with other parameters than those in force."""
    return _HASHER.check_needs_rehash(stored)


@contextmanager
def _turn() -> Iterator[None]:
    if not _AT_ONCE.acquire(timeout=_WAIT_SECONDS):
        raise TooManyLogins("too many people log in at this moment: try again in some seconds")
    try:
        yield
    finally:
        _AT_ONCE.release()
