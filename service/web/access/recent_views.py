"""Which views of studies were recorded in the audit trail lately."""

from datetime import datetime, timedelta
from typing import Final

# Views of a study by one person within this time are one view: pages reload, and have images.
_ONE_VIEW: Final = timedelta(minutes=5)
_MOST: Final = 10_000


class RecentViews:
    """Which views were recorded lately, in this process."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], datetime] = {}

    def is_new(self, who: str, study_uid: str, now: datetime) -> bool:
        """Return whether no view of this study was recorded for `who` lately."""
        latest = self._at.get((who, study_uid))
        return latest is None or now - latest >= _ONE_VIEW

    def note(self, who: str, study_uid: str, now: datetime) -> None:
        """Note that a view was recorded."""
        if len(self._at) >= _MOST:
            self._at = {key: at for key, at in self._at.items() if now - at < _ONE_VIEW}
        self._at[who, study_uid] = now
