"""Latencies as counts in logarithmic buckets: hours can be added up, and a percentile is 4.5 % exact.

The bounds of the buckets grow by 2^(1/8). 128 buckets cover 0.25 s to 4.5 hours; 64 would end after a
minute. A percentile is the geometric middle of its bucket, at most 2^(1/16) from the true value.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

BUCKETS: Final = 128
SHORTEST: Final = 0.25  # seconds; shorter latencies count as this
_PER_OCTAVE: Final = 8


def bucket_of(seconds: float) -> int:
    """Return the bucket of a latency, 0 to `BUCKETS - 1`; the last one has no upper bound."""
    if seconds <= SHORTEST:
        return 0
    return min(BUCKETS - 1, int(math.log2(seconds / SHORTEST) * _PER_OCTAVE))


def middle(bucket: int) -> float:
    """Return the geometric middle of a bucket in seconds."""
    return float(SHORTEST * 2.0 ** ((bucket + 0.5) / _PER_OCTAVE))


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """The number of latencies in each bucket that has any."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """The number of latencies."""
        return sum(self.counts.values())

    def percentile(self, share: float) -> float | None:
        """Return the latency in seconds that `share` (0 to 1) of all do not exceed; None without any."""
        needed = max(1, math.ceil(share * self.n))
        seen = 0
        for bucket, count in sorted(self.counts.items()):
            seen += count
            if seen >= needed:
                return middle(bucket)
        return None

    def to_json(self) -> dict[str, int]:
        """Return the counts as JSON types."""
        return {str(bucket): count for bucket, count in sorted(self.counts.items())}

    @classmethod
    def from_json(cls, data: Mapping[str, int]) -> "LatencyHistogram":
        """Return the histogram that `to_json` wrote."""
        return cls({int(bucket): count for bucket, count in data.items()})

    @classmethod
    def of(cls, latencies: Iterable[float]) -> "LatencyHistogram":
        """Return the histogram of latencies in seconds."""
        return merged(cls({bucket_of(each): 1}) for each in latencies)


def merged(histograms: Iterable[LatencyHistogram]) -> LatencyHistogram:
    """Return the sum of histograms."""
    counts: dict[int, int] = {}
    for each in histograms:
        for bucket, count in each.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count
    return LatencyHistogram(counts)
