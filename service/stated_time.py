"""Times in stored sentences: written in UTC by ISO 8601, shown in the zone of the site.

A stored sentence, such as that of an incident, states a time by `stated`: `2026-11-30T22:05:00Z`.
Pages and messages replace it by the clock time of the site with its zone. The JSON API and logs leave it
as it is.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

# Also as earlier versions stored it: "2026-11-30 22:05 UTC", "2026-11-30 22:05:00+00:00".
_TIME: Final = re.compile(
    r"\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d{1,6})?(?:Z| ?\+00:00| UTC)(?!\w)"
)


def stated(at: datetime) -> str:
    """Return a time as stored sentences state it, to the second.

    Args:
        at: Aware, in any zone.
    """
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def pieces_of(text: str) -> Iterator[str | datetime]:
    """Yield the texts and, as aware datetimes in UTC, the times of a sentence, in their order."""
    begin = 0
    for found in _TIME.finditer(text):
        try:
            at = datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
        except ValueError:  # 2026-13-01 is no time
            continue
        yield text[begin : found.start()]
        yield at
        begin = found.end()
    yield text[begin:]


def with_local_times(text: str) -> str:
    """Return a sentence with each time in the zone of the site, such as `2026-11-30 23:05 +0100`."""
    return "".join(each if isinstance(each, str) else local(each) for each in pieces_of(text))


def local(at: datetime) -> str:
    """Return a time in the zone of the site with its offset, as messages state it."""
    return f"{at.astimezone():%Y-%m-%d %H:%M %z}"
