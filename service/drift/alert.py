"""The record of an alert. Pure."""

from dataclasses import dataclass
from datetime import datetime

from service.drift.streams import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAlert:
    """An alert of a chart; it stays open until a person acknowledges it.

    Attributes:
        id: 0 before it is stored.
        words: What was found, a sentence.
        first, last: Times of the first row of the change and of the signal.
        n: Number of rows between them.
        subgroup: Where it moved most, a sentence, or "".
        changes: What else changed then, sentences.
        cases: Ids of three jobs to look at.
        acknowledged_by: Who acknowledged it; "" while it is open.
    """

    id: int = 0
    chart: str
    title: str
    level: Level
    words: str
    first: datetime
    last: datetime
    n: int
    subgroup: str
    changes: tuple[str, ...]
    cases: tuple[str, ...]
    opened_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    note: str = ""
