"""Ends alerts whose cause a process of the service has observed to end."""

from collections.abc import Iterable

from service.monitoring.alert_rules import ENDS, alert_subject
from service.records import IncidentKind
from service.store import Store


def open_due_alerts(store: Store) -> None:
    """Open alerts for all incidents that have none.

    Raises:
        StoreError: The database cannot be used now.
    """
    while store.take_incidents(alert_subject, ENDS):
        pass


def end_alerts(store: Store, kinds: Iterable[IncidentKind], subject: str) -> None:
    """End the open alerts of these kinds about a subject, also those that are not opened yet.

    Raises:
        StoreError: The database cannot be used now.
    """
    open_due_alerts(store)
    for kind in kinds:
        store.recover_alert(kind, alert_subject(kind, subject))
