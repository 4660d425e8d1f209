"""Records an incident for studies that have an image and no job, and wait for none."""

from service.log import get_logger
from service.monitoring.alert_ends import end_alerts
from service.records import IncidentKind
from service.store import Store
from service.throughput.balance import StudyStanding

_KIND = IncidentKind.STUDIES_UNACCOUNTED

log = get_logger(__name__)


class UnaccountedStudies:
    """Records one incident for the studies that are new, and ends the alert with the last of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # None until the first look: an alert of an earlier run may be open.
        self._reported: frozenset[str] | None = None

    def check(self) -> None:
        """Record what is new; the figures of the hours must have been computed before.

        Raises:
            StoreError: The database cannot be used now.
        """
        found = self._store.unaccounted_now()
        studies = frozenset(each.study_instance_uid for each in found)
        if not studies and self._reported != studies:
            end_alerts(self._store, [_KIND], "")
        elif studies - (self._reported or frozenset()) and not self._is_known():
            self._record(found)
        self._reported = studies

    def _is_known(self) -> bool:
        """Return whether this is the first look, and the sweeper before had reported the studies."""
        return self._reported is None and any(
            each.kind == _KIND and each.recovered_at is None
            for each in self._store.open_incident_alerts()
        )

    def _record(self, found: list[StudyStanding]) -> None:
        count = len(found)
        who = "1 study has" if count == 1 else f"{count} studies have"
        pronoun = "it waits" if count == 1 else "they wait"
        log.error(_KIND.value, studies=count)
        self._store.record_incident(
            actor="sweeper",
            kind=_KIND,
            subject="",
            detail=f"The balance does not hold: {who} an image and no job, and {pronoun} for none.",
        )
