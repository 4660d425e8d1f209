"""Records incidents: a destination accepts no results for long, recovers, or stays paused for long."""

from datetime import timedelta

from service.destination_backlog import Backlog, DestinationState
from service.log import get_logger
from service.records import IncidentKind
from service.sentence import ended
from service.settings.config import Settings
from service.store import Store

log = get_logger(__name__)


def backlogs(store: Store, settings: Settings) -> list[Backlog]:
    """Return the backlog of each configured destination, and of others for which results wait.

    Raises:
        StoreUnavailable: The database cannot be used now.
    """
    return store.backlogs(each.name for each in settings.destinations)


def alert_after(settings: Settings) -> timedelta:
    """Return the age of the oldest undelivered result above which a destination is overdue."""
    return timedelta(minutes=settings.delivery.alert_minutes)


def pause_alert_after(settings: Settings) -> timedelta:
    """Return the length of a pause above which a destination counts as forgotten."""
    return timedelta(hours=settings.delivery.pause_alert_hours)


class DestinationIncidents:
    """Records an incident for each outage of a destination, its end, and each long pause."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def check(self) -> None:
        """Record the outages, ends of outages and long pauses that are not recorded yet.

        Raises:
            StoreUnavailable: The database cannot be used now.
        """
        now, limit = self._store.now(), alert_after(self._settings)
        for each in backlogs(self._store, self._settings):
            if each.is_overdue(now, limit):
                self._record_outage(each)
            elif each.state is DestinationState.ANSWERING:
                self._record_recovery(each)
        for pause in self._store.alert_forgotten_pauses(now - pause_alert_after(self._settings)):
            log.warning(
                IncidentKind.DESTINATION_STILL_PAUSED.value,
                destination=pause.destination,
                since=pause.paused_at.isoformat(),
            )

    def _record_outage(self, each: Backlog) -> None:
        error = f" The latest error: {ended(each.last_error)}" if each.is_faulty else ""
        detail = each.sentence() + error
        if self._store.note_outage(each.destination, away=True, actor="sweeper", detail=detail):
            log.error(
                IncidentKind.DESTINATION_AWAY.value,
                destination=each.destination,
                waiting=each.waiting,
                reason=detail,
            )

    def _record_recovery(self, each: Backlog) -> None:
        detail = "It accepts results again."
        if self._store.note_outage(each.destination, away=False, actor="sweeper", detail=detail):
            log.info(
                IncidentKind.DESTINATION_BACK.value,
                destination=each.destination,
                waiting=each.waiting,
            )
