"""The kinds of charts, and their names. Pure."""

from enum import StrEnum
from typing import Final


class ChartKind(StrEnum):
    """The kind of a chart; the last part of its name."""

    RISE = "rise"
    FALL = "fall"
    MEAN = "mean"
    SHAPE = "shape"
    SHARES = "shares"
    NEW = "new"


def chart_name(stream: str, kind: ChartKind) -> str:
    """Return the name of a chart: letters, digits and hyphens."""
    return f"{stream}-{kind.value}"


KIND_WORDS: Final[dict[str, str]] = {
    ChartKind.RISE: "more often",
    ChartKind.FALL: "less often",
    ChartKind.MEAN: "the daily mean moved",
    ChartKind.SHAPE: "distributed otherwise",
    ChartKind.SHARES: "distributed otherwise",
    ChartKind.NEW: "a new value",
}
