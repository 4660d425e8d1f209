"""Runs the end-to-end check: begins it at its time, advances it, and removes all that it made.

    send -> schedule -> read -> deliver -> read back -> PASSED -> clean
      any of them fails, or the time limit passes: FAILED at that stage -> clean

Each stage is committed: a check whose process was killed goes on where it was. Several sweepers may run:
one claims the check at a time. Errors here never concern another task of the sweeper.
"""

from typing import Final

from dicom.destinations.destination import Destination
from dicom.errors import DicomError
from service.errors import ConfigurationError
from service.log import get_logger
from service.records.probes import Probe, ProbeOutcome, ProbeStage
from service.sentence import ended
from service.settings.config import Settings
from service.settings.destination_factory import destinations
from service.store import Store
from service.sweeper.probe_cleaning import ProbeCleaning
from service.sweeper.probe_steps import CheckFailed, ProbeSteps

_LEASE_SECONDS: Final = 120.0

log = get_logger(__name__)


class ProbeRunner:
    """Runs the checks of one sweeper."""

    def __init__(self, store: Store, settings: Settings, owner: str) -> None:
        """Take the store, the settings, and the name in claims, the same after a restart."""
        self._store = store
        self._settings = settings
        self._owner = owner
        found = _destinations(settings)
        self._steps = ProbeSteps(store, settings, found)
        self._cleaning = ProbeCleaning(store, settings, found)
        self._last_error = ""

    def tick(self) -> bool:
        """Do what is due now; return whether a check is under way.

        Raises:
            StoreError: The database cannot be used now; the next call goes on from there.
        """
        if self._settings.probe.enabled:
            self._begin_if_due()
        probe = self._store.claim_probe(self._owner, _LEASE_SECONDS)
        if probe is None:
            return False
        if probe.outcome is ProbeOutcome.RUNNING:
            self._advance(probe)
        else:
            self._clean(probe)
        return True

    def _begin_if_due(self) -> None:
        now, period = self._store.now(), self._settings.probe.period
        newest = self._store.newest_probe()
        if newest is not None and newest.started_at <= now < newest.started_at + period:
            return
        if self._store.drafting_stop() is not None:
            return
        slot = str(int(now.timestamp() // period.total_seconds()))
        if self._store.begin_probe(slot):
            log.info("probe_begun")

    def _advance(self, probe: Probe) -> None:
        if self._store.drafting_stop() is not None:
            self._store.end_probe(probe, ProbeOutcome.SKIPPED, "Drafting was stopped.")
            return
        if probe.stage is ProbeStage.CLEAN:  # the process was killed before it recorded the end
            self._pass(probe)
            return
        if self._store.now() > probe.started_at + self._settings.probe.limit:
            self._fail(probe, self._overdue(probe))
            return
        try:
            stage = self._steps.step(probe)
        except CheckFailed as error:
            self._fail(probe, str(error))
        except (DicomError, OSError) as error:
            self._last_error = ended(str(error))
        else:
            if stage is not None:
                self._last_error = ""
                self._reach(probe, stage)

    def _reach(self, probe: Probe, stage: ProbeStage) -> None:
        self._store.advance_probe(probe, stage)
        if stage is ProbeStage.CLEAN:
            self._pass(probe)

    def _overdue(self, probe: Probe) -> str:
        limit = self._settings.probe.limit_minutes
        cause = self._last_error or self._steps.waits_for(probe)
        return f"It did not end within {limit:g} minutes. {cause}".strip()

    def _pass(self, probe: Probe) -> None:
        seconds = (self._store.now() - probe.started_at).total_seconds()
        self._store.end_probe(probe, ProbeOutcome.PASSED)
        log.info("probe_passed", seconds=round(seconds, 1))

    def _fail(self, probe: Probe, reason: str) -> None:
        self._store.end_probe(probe, ProbeOutcome.FAILED, reason)
        log.error("probe_failed", stage=probe.stage.value, reason=reason)
        self._last_error = ""

    def _clean(self, probe: Probe) -> None:
        """Remove what a check left; report once if that does not succeed within the time limit."""
        try:
            self._cleaning.clean(probe)
        except (DicomError, OSError) as error:
            self._store.postpone_probe(probe, 10.0)
            since = probe.ended_at or probe.started_at
            late = self._store.now() > since + self._settings.probe.limit
            if late and probe.outcome is ProbeOutcome.PASSED:
                self._fail(probe, f"Its objects could not be removed: {ended(str(error))}")


def _destinations(settings: Settings) -> dict[str, Destination]:
    try:
        return destinations(settings)
    except ConfigurationError as error:  # a TLS file: deliveries report it
        log.warning("probe_destinations_unusable", reason=str(error))
        return {}
