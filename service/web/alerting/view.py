"""The parts of the page of alerts, and of the overview's line about them, as they are now."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.monitoring.alert_rules import AlertLevel, rule_of, title_of
from service.monitoring.probe_health import probe_health
from service.records.alerts import IncidentAlert
from service.store import Store
from service.web.app_context import AppContext
from service.web.render import Snapshot, part

SHOWN: Final = 50
# Open alerts that are counted; of one kind at most 51 are open.
_MOST_COUNTED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlerts:
    """The open alerts, for the overview.

    Attributes:
        levels: The number of each level, the highest first; levels without an alert are left out.
        acknowledged: How many of them a person has acknowledged.
        oldest: The one that was opened first; None if no alert is open.
    """

    levels: Sequence[tuple[AlertLevel, int]]
    acknowledged: int
    oldest: IncidentAlert | None

    @property
    def count(self) -> int:
        """The number of open alerts."""
        return sum(count for _, count in self.levels)


def open_alerts(store: Store) -> OpenAlerts:
    """Return what the overview shows of the open alerts.

    Raises:
        StoreError: The database does not answer.
    """
    found = store.open_incident_alerts(limit=_MOST_COUNTED)
    counts = Counter(rule_of(each.kind).level for each in found)
    return OpenAlerts(
        levels=[(level, counts[level]) for level in sorted(counts, reverse=True)],
        acknowledged=sum(each.acknowledged_at is not None for each in found),
        oldest=min(found, key=lambda each: each.opened_at, default=None),
    )


def alerts_snapshot(here: AppContext) -> Snapshot:
    """Return the page of alerts as it is now.

    Raises:
        StoreError: The database does not answer.
    """
    store, settings = here.store, here.settings
    alerts, closed = store.open_incident_alerts(), store.closed_incident_alerts(SHOWN)
    parts = {
        "alerts-open": part(
            "alerts/open",
            alerts=sorted(alerts, key=lambda each: -rule_of(each.kind).level),
            rule_of=rule_of,
            title_of=title_of,
        ),
        "alerts-check": part(
            "alerts/check", probe=settings.probe, health=probe_health(store, settings)
        ),
        "alerts-messages": part(
            "alerts/messages",
            messages=store.notifications(SHOWN),
            targets=settings.notify.targets,
            names={each.id: title_of(each.kind) for each in (*alerts, *closed)},
        ),
        "alerts-closed": part("alerts/closed", closed=closed, title_of=title_of),
    }
    return Snapshot(parts=parts)
