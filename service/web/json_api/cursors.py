"""Pages of lists in the JSON API: their limit, and cursors, which clients only send back."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.records import Job, Position
from service.review.decision import Decision

_LONGEST: Final = 200
_DEFAULT_LIMIT: Final = 100
_LARGEST_LIMIT: Final = 1000
_INVALID: Final = "cursor: send `next` of the page before, unchanged."


def limit_of(request: Request) -> int:
    """Return the `limit` of a query, 100 without one.

    Raises:
        HTTPException: 400.
    """
    word = request.query_params.get("limit")
    if word is None:
        return _DEFAULT_LIMIT
    if (
        not word.isascii()
        or not word.isdigit()
        or len(word) > 4
        or not 1 <= int(word) <= _LARGEST_LIMIT
    ):
        raise HTTPException(400, f"limit: a number from 1 to {_LARGEST_LIMIT}.")
    return int(word)


def cursor_of(position: Position) -> str:
    """Return the cursor of the entry after which the next page begins."""
    text = f"{position.at.astimezone(UTC).isoformat()} {position.id}"
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def next_cursor(found: Sequence[Job | Decision], limit: int) -> str | None:
    """Return the cursor of the page after these entries; None if they are fewer than the page holds."""
    if len(found) < limit:
        return None
    last = found[-1]
    at = last.created_at if isinstance(last, Job) else last.at
    return cursor_of(Position(at=at, id=last.id))


def position_of(cursor: str) -> Position:
    """Return the position of a cursor.

    Raises:
        HTTPException: 400: it is not a cursor of this API.
    """
    if len(cursor) > _LONGEST:
        raise HTTPException(400, _INVALID)
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
        at, _, entry = text.partition(" ")
        moment = datetime.fromisoformat(at)
        # Not every moment of the years 1 and 9999 can be given in UTC.
        known = None if moment.tzinfo is None else moment.astimezone(UTC)
    except (binascii.Error, ValueError, OverflowError):
        raise HTTPException(400, _INVALID) from None
    if known is None or not entry.isalnum():
        raise HTTPException(400, _INVALID)
    return Position(at=known, id=entry)


def page_after(request: Request) -> Position | str | None:
    """Return where the page of a request begins: its `cursor`, or the id in an older client's `before`.

    Raises:
        HTTPException: 400.
    """
    asked = request.query_params
    if cursor := asked.get("cursor"):
        return position_of(cursor)
    before = asked.get("before") or None
    if before is None or len(before) <= len("0" * 32):
        return before
    return position_of(before)  # `next` in its former place
