"""Watches the spool's disk for the sweeper: records incidents, and makes room where it may."""

from datetime import datetime
from typing import Final

from service.log import get_logger
from service.maintenance.retention import Retention
from service.monitoring.alert_ends import end_alerts
from service.records import IncidentKind
from service.settings.config import Settings
from service.store import Store
from service.system.disk_space import DiskLevel, Watermark

_SUBJECT: Final = "spool"

log = get_logger(__name__)


class DiskPressure:
    """Measures the free space of the spool's disk; cheap enough for each tick."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        retention: Retention,
        watermark: Watermark | None = None,
    ) -> None:
        """Take what measures the disk (`Watermark(settings)` when None) and what makes room."""
        self._store = store
        self._settings = settings
        self._retention = retention
        self._watermark = watermark or Watermark(settings)
        # None until the first look: alerts of an earlier run may be open.
        self._reported: DiskLevel | None = None
        self._is_stuck = False

    def check(self, now: datetime) -> DiskLevel:
        """Record an incident at a higher step, make room from EARLY on, and return the step.

        Raises:
            StoreUnavailable: The database does not answer; the next look continues from there.
        """
        step, reported = self._watermark.measure(), self._reported
        if step > (reported or DiskLevel.ROOMY):
            self._report_level(step)
        if reported is not None and step < reported:
            log.info("disk_has_room_again", step=step.name)
        if reported is None or step < reported:
            self._end_alerts(step)
        self._reported = step
        if step >= DiskLevel.EARLY and self._settings.sweep.early_free_bytes:
            self._make_room(now)
        else:
            self._is_stuck = False
        return step

    def _report_level(self, step: DiskLevel) -> None:
        log.warning("disk_getting_full", step=step.name, free_below=self._watermark.limit(step))
        limit = self._watermark.limit(step) // 2**20
        detail = f"{step.sentence} Less than {limit} MiB are free."
        self._incident(_kind(step), detail)

    def _end_alerts(self, step: DiskLevel) -> None:
        kinds = [_kind(higher) for higher in DiskLevel if higher > step]
        no_room = [IncidentKind.DISK_NO_ROOM] if step < DiskLevel.EARLY else []
        end_alerts(self._store, [*kinds, *no_room], _SUBJECT)

    def _make_room(self, now: datetime) -> None:
        if self._retention.remove_early(now):
            if self._is_stuck:
                end_alerts(self._store, [IncidentKind.DISK_NO_ROOM], _SUBJECT)
            self._is_stuck = False
            return
        if not self._is_stuck:  # one incident, not one each tick
            self._is_stuck = True
            self._incident(
                IncidentKind.DISK_NO_ROOM,
                "No study may be removed to make room: no study has all its drafts "
                "confirmed by every destination and decided on. Make the destinations accept "
                "them, have the drafts decided (or shorten sweep.undecided_days), or enlarge the "
                "spool.",
            )

    def _incident(self, kind: IncidentKind, detail: str) -> None:
        self._store.record_incident(actor="sweeper", kind=kind, subject=_SUBJECT, detail=detail)


def _kind(step: DiskLevel) -> IncidentKind:
    return IncidentKind(f"disk_{step.name.lower()}")
