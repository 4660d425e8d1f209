"""Tables in Markdown of the figures of `ingest.py`: medians, and ratios to the peers round by round."""

import statistics
from dataclasses import dataclass
from typing import Final

# The peers of the comparison: objects of one image have equal size, so MB/s and objects/s have one
# ratio.
PEERS: Final = ("Orthanc, best", "storescp, best, fsync")


@dataclass
class Measured:
    """One run of one receiver."""

    receiver: str
    image: str
    associations: int
    objects: int
    failures: int
    seconds: float
    megabytes: float
    cpu_seconds: float
    peak_mb: float

    @property
    def mb_per_s(self) -> float:
        """Throughput of the objects that were acknowledged."""
        return self.megabytes * (1 - self.failures / self.objects) / self.seconds

    @property
    def objects_per_s(self) -> float:
        """The same in objects."""
        return (self.objects - self.failures) / self.seconds

    @property
    def cpu_per_gb(self) -> float:
        """The receiver's processor time."""
        return self.cpu_seconds / (self.megabytes / 1000)


def as_table(measured: list[Measured]) -> str:
    """Return the medians as a table in Markdown."""
    lines = [
        (
            "| image | associations | receiver | MB/s, median (least-most) | objects/s | CPU s/GB | "
            "peak MB | failures | runs |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in dict.fromkeys((one.image, one.associations, one.receiver) for one in measured):
        runs = [one for one in measured if (one.image, one.associations, one.receiver) == cell]
        rates = [one.mb_per_s for one in runs]
        lines.append(
            f"| {cell[0]} | {cell[1]} | {cell[2]} | {statistics.median(rates):.0f} "
            f"({min(rates):.0f}-{max(rates):.0f}) "
            f"| {statistics.median(one.objects_per_s for one in runs):.1f} "
            f"| {statistics.median(one.cpu_per_gb for one in runs):.2f} "
            f"| {max(one.peak_mb for one in runs):.0f} "
            f"| {sum(one.failures for one in runs)} | {len(runs)} |"
        )
    return "\n".join(lines)


def as_ratios(measured: list[Measured]) -> str:
    """Return the ratios of Wetread to the peers, as a table in Markdown.

    Runs of one round are compared with each other; the median of their ratios, the least and the most.
    """
    lines = [
        "| image | associations | receiver | " + " | ".join(f"/ {peer}" for peer in PEERS) + " |"
    ]
    lines.append("|---" * (3 + len(PEERS)) + "|")
    for image, associations in dict.fromkeys((one.image, one.associations) for one in measured):
        rates: dict[str, list[float]] = {}
        for one in measured:
            if (one.image, one.associations) == (image, associations):
                rates.setdefault(one.receiver, []).append(one.mb_per_s)
        for name in [name for name in rates if name.startswith("wetread")]:
            cells = [ratio(rates[name], rates.get(peer, [])) for peer in PEERS]
            lines.append(f"| {image} | {associations} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Return the median of the ratios round by round, with the least and the most."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=False) if their]
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
