"""Failed logins, counted in the database because several processes serve logins.

No account is locked, so that a person cannot lock out a colleague:

- one name from one address: 5 failures in 5 minutes;
- one address: 100 failures in an hour;
- one name from all addresses: after 20 failures in an hour, each address has 1 try in 5 minutes.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from service.database.account_tables import LoginFailureRow
from service.store.session import Transactions

_SHORT: Final = timedelta(minutes=5)
_LONG: Final = timedelta(hours=1)
_PER_NAME_AND_ADDRESS: Final = 5
_PER_NAME: Final = 20
_PER_NAME_AND_ADDRESS_THEN: Final = 1
_PER_ADDRESS: Final = 100
# Number of the advisory lock under which attempts are counted.
_COUNTING: Final = 0x574551


class LoginAttempts(Transactions):
    """The part of the store for failed logins."""

    def begin_login(self, name_digest: str, address: str) -> int:
        """Count a login as failed until `login_succeeded`, or return how many seconds to wait.

        Attempts are counted before the password is verified: parallel ones cannot pass the limit.

        Returns:
            0 if the password may be verified.
        """
        now = self.now()
        with self._writing() as session:
            self._exclusive(session, _COUNTING)
            session.execute(delete(LoginFailureRow).where(LoginFailureRow.at < now - _LONG))
            wait = _wait(session, now, name_digest, address[:64])
            if not wait:
                row = LoginFailureRow(at=now, name_digest=name_digest, address=address[:64])
                session.add(row)
            return wait

    def login_succeeded(self, name_digest: str, address: str) -> None:
        """Remove the failures of a name from one address."""
        with self._writing() as session:
            session.execute(delete(LoginFailureRow).where(*_both(name_digest, address[:64])))


def _wait(session: Session, now: datetime, name_digest: str, address: str) -> int:
    """Return the seconds until the next attempt is allowed; 0 if it is allowed now."""
    of_address = (LoginFailureRow.address == address,)
    of_name = (LoginFailureRow.name_digest == name_digest,)
    both = _both(name_digest, address)
    is_attacked = _full_since(session, now - _LONG, _PER_NAME, of_name) is not None
    limit = _PER_NAME_AND_ADDRESS_THEN if is_attacked else _PER_NAME_AND_ADDRESS
    waits = [
        _seconds(_full_since(session, now - _SHORT, limit, both), _SHORT, now),
        _seconds(_full_since(session, now - _LONG, _PER_ADDRESS, of_address), _LONG, now),
    ]
    return max(waits)


def _both(name_digest: str, address: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return LoginFailureRow.name_digest == name_digest, LoginFailureRow.address == address


def _full_since(
    session: Session, since: datetime, limit: int, which: tuple[ColumnElement[bool], ...]
) -> datetime | None:
    """Return the time of the `limit`-th latest failure after `since`, or None if there are fewer."""
    times = select(LoginFailureRow.at).where(*which, LoginFailureRow.at > since)
    return session.scalar(times.order_by(LoginFailureRow.at.desc()).offset(limit - 1).limit(1))


def _seconds(full_since: datetime | None, period: timedelta, now: datetime) -> int:
    if full_since is None:
        return 0
    return max(1, int((full_since + period - now).total_seconds()) + 1)
