"""Rows that the charts are computed from: one a reading, a decision or a final report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class RowKind(StrEnum):
    """What a row is of; stored in `monitor_rows.kind`."""

    READING = "reading"
    DECISION = "decision"
    FINAL = "final"


class Category(StrEnum):
    """What is known of a study besides its figures; no patient attribute."""

    DEVICE = "device"  # manufacturer and model
    SOFTWARE = "software"  # of the device
    VIEW = "view"
    CALLING_AE = "calling AE"
    MODEL = "model"
    VERSION = "Wetread version"
    SETTING = "reading settings"  # digest of prompt and decoding


UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRow:
    """One row.

    Attributes:
        source_id: Of the job, the decision or the final report.
        at: When that was; rows are in this order.
        day: Its day in the site's time zone, YYYY-MM-DD.
        categories: By `Category`; UNKNOWN where the header does not say.
        events: By stream, whether it happened; a stream that does not apply is absent.
        numbers: By stream.
    """

    kind: RowKind
    source_id: str
    job_id: str
    study_uid: str
    at: datetime
    day: str
    categories: Mapping[Category, str] = field(default_factory=dict)
    events: Mapping[str, bool] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
