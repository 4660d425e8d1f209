"""The period of a document: whole days in the site's time zone."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from service.errors import WetreadError

_MOST_DAYS: Final = 400


class QualityInputError(WetreadError):
    """What a document is to be made of cannot be used; the message states what and why."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both included.

    Raises:
        QualityInputError: `last` is before `first`, or the period is longer than 400 days.
    """

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise QualityInputError(f"--to {self.last} is before --from {self.first}")
        if (self.last - self.first).days >= _MOST_DAYS:
            raise QualityInputError(f"a period has at most {_MOST_DAYS} days")

    @property
    def begin(self) -> datetime:
        """The beginning of the first day, aware."""
        return datetime.combine(self.first, time()).astimezone()

    @property
    def end(self) -> datetime:
        """The end of the last day, which no longer belongs to the period."""
        return datetime.combine(self.last + timedelta(days=1), time()).astimezone()

    @property
    def words(self) -> str:
        """The period in words."""
        return f"{self.first} to {self.last}"


def moment(at: datetime | None) -> str:
    """Return a time in the site's time zone with its offset; "" for None."""
    return f"{at.astimezone():%Y-%m-%d %H:%M %z}" if at is not None else ""
