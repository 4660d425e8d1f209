"""Headers and bodies of requests about reviews: versions, idempotency keys, decisions."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from dicom.content.patient_study import clean_text
from service.errors import InvalidReview
from service.review.content import ReviewContent
from service.review.decision import DecisionRequest, Seconds
from service.review.words import Acceptability, Rejection, Verdict

_VERSION: Final = re.compile(r'"(\d{1,9})"')
_Word = TypeVar("_Word", Verdict, Rejection)


def etag(version: int) -> str:
    """Return the ETag of a version of a review."""
    return f'"{version}"'


def wanted_version(request: Request) -> int:
    """Return the version in the If-Match header.

    Raises:
        HTTPException: 428 without the header, 400 for one that is no version.
    """
    value = request.headers.get("if-match")
    if value is None:
        raise HTTPException(428, "Send If-Match with the ETag of the text that you changed.")
    found = _VERSION.fullmatch(value.strip())
    if found is None:
        raise HTTPException(400, 'If-Match is one ETag as GET returns it, such as "3".')
    return int(found[1])


def digest_of(job_id: str, body: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a request, the same for a repetition of it."""
    text = json.dumps([job_id, body], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def decision_request(body: Mapping[str, Any], content: ReviewContent) -> DecisionRequest:
    """Return the decision in a body.

    Args:
        body: The JSON object.
        content: The stored content, for a body without any.

    Raises:
        InvalidReview: A value is missing, unknown or of the wrong type.
    """
    return DecisionRequest(
        verdict=_word(Verdict, body.get("verdict"), "verdict"),
        content=ReviewContent.from_json(body["content"]) if "content" in body else content,
        base_version=_whole(body.get("base_version"), "base_version"),
        seconds=_seconds(body.get("seconds")),
        acceptability=_acceptability(body.get("acceptability")),
        rejection=_rejection(body.get("rejection")),
        reason=clean_text(_text(body.get("reason", ""), "reason")),
        amends=_text(body.get("amends") or "", "amends"),
    )


def time_of(request: Request, key: str) -> datetime | None:
    """Return a time of a query; a time without zone is of this machine's zone.

    Raises:
        HTTPException: 400.
    """
    word = request.query_params.get(key)
    if word is None:
        return None
    try:
        return datetime.fromisoformat(word).astimezone()
    except (ValueError, OverflowError):
        raise HTTPException(400, f"{key}: a date or time such as 2026-03-01T08:00.") from None


def period_of(request: Request) -> tuple[datetime | None, datetime | None]:
    """Return the period of a query: `from` or `since`, `to` or `until`; the second is not included.

    A `to` that is a date without a time includes that day.

    Raises:
        HTTPException: 400.
    """
    begin, end = time_of(request, "from"), time_of(request, "to")
    if end is not None and len(request.query_params["to"]) <= len("2026-03-01"):
        # Local days: the day of a change of the clock has 23 or 25 hours.
        end = (end.replace(tzinfo=None) + timedelta(days=1)).astimezone()
    return begin or time_of(request, "since"), end or time_of(request, "until")


def _word(kind: type[_Word], value: object, name: str) -> _Word:
    try:
        return kind(str(value))
    except ValueError:
        raise InvalidReview(f"{name}: one of {', '.join(kind)}") from None


def _rejection(value: object) -> Rejection | None:
    return None if value is None else _word(Rejection, value, "rejection")


def _acceptability(value: object) -> Acceptability | None:
    if value is None:
        return None
    try:
        return Acceptability(_whole(value, "acceptability"))
    except ValueError:
        raise InvalidReview("acceptability: 1 to 4") from None


def _seconds(value: object) -> Seconds:
    if not isinstance(value, Mapping):
        raise InvalidReview('seconds: an object with "total", and "image" and "draft" where known')
    return Seconds(
        total=_number(value.get("total"), "seconds.total"),
        image=_optional(value.get("image"), "seconds.image"),
        draft=_optional(value.get("draft"), "seconds.draft"),
    )


def _optional(value: object, name: str) -> float | None:
    return None if value is None else _number(value, name)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidReview(f"{name}: a number")
    return float(value)


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9:
        raise InvalidReview(f"{name}: a whole number")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidReview(f"{name}: a string")
    return value
