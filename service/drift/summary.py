"""What was normal in a reference period, as numbers that stay when the rows are gone. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

_QUARTER_DAYS: Final = 91.3


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReference:
    """What a stream was in the reference period.

    Attributes:
        n: Number of rows.
        events: How many had the event (RATE).
        means: Daily means of days with at least 20 rows (NUMBER).
        edges: Inner edges of the deciles (NUMBER).
        bins: Counts between them.
        counts: Counts by category (SHARES).
        dispersion: How much more the days differ than chance alone makes them (rooms in turn), at
            least 1; the limits of weekly tests are multiplied by it.
    """

    n: int = 0
    events: int = 0
    means: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    bins: tuple[int, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    dispersion: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSummary:
    """The reference period in numbers.

    Attributes:
        days: Length in days.
        readings: Number of readings.
        streams: By name.
    """

    days: int
    readings: int
    streams: Mapping[str, StreamReference]

    def per_quarter(self, stream: str) -> float:
        """Return how many rows of a stream a quarter has, if the volume stays."""
        return self.streams[stream].n * _QUARTER_DAYS / self.days

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the summary that `to_json` wrote."""
        streams = {
            name: StreamReference(
                n=each["n"],
                events=each["events"],
                means=tuple(each["means"]),
                edges=tuple(each["edges"]),
                bins=tuple(each["bins"]),
                counts=dict(each["counts"]),
                dispersion=each["dispersion"],
            )
            for name, each in data["streams"].items()
        }
        return cls(days=data["days"], readings=data["readings"], streams=streams)
