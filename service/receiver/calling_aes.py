"""The settings of calling AEs, as they are in force now.

The file is read again when it changes or on SIGHUP. Only `receiver.callers` and `receiver.open` are
replaced: the processes of models and destinations have read their settings at their start.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from service.errors import ConfigurationError, StoreError
from service.log import get_logger
from service.records import IncidentKind, JobRequest
from service.sentence import one_line
from service.settings.config import Settings
from service.settings.keys.reading import Reading
from service.settings.keys.sections import Caller
from service.settings.setting_rules import unknown_references
from service.store import Store
from service.system.signals import on_sighup

NOT_RELOADED: Final = IncidentKind.CALLERS_NOT_RELOADED

log = get_logger(__name__)


class CallingAEs:
    """Returns the settings of calling AEs in force; lookups are thread-safe."""

    def __init__(
        self,
        settings: Settings,
        path: Path | None,
        load: Callable[[], Settings],
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Take the settings in force and the function that loads them again.

        Args:
            settings: The settings in force.
            path: The file that they came from.
            load: Loads them again; raises ConfigurationError.
            report: Called with the reason why a changed file was rejected, and with "" once the file is
                valid again. If it raises StoreError, the next `reload_if_changed` calls it again.
        """
        self._report = report
        self._fault = ""
        self._reported: str | None = None
        self._settings = settings
        self._path = path
        self._load = load
        self._state = self._file_state()
        self._is_requested = self._is_unread = False

    def __call__(self, ae_title: str) -> Caller | None:
        """Return the settings of a calling AE title, or None if it may not send."""
        return self._settings.caller(ae_title)

    def look_up_reloaded(self, ae_title: str) -> Caller | None:
        """Return the settings in force after a reload if the file has changed, for workers."""
        self.reload_if_changed()
        return self(ae_title)

    @property
    def settings(self) -> Settings:
        """The settings read at the start, with the calling AEs that are in force now."""
        return self._settings

    def reload_on_sighup(self) -> None:
        """Reload the file at each SIGHUP from now on; call it in the main thread only.

        SIGHUP is ignored while the process starts, so the next `reload_if_changed` always loads the
        file. It logs a reload only if the file has changed or SIGHUP has come.
        """
        on_sighup(self.request_reload)
        self._is_unread = True

    def request_reload(self) -> None:
        """Make the next `reload_if_changed` load the file even if it has not changed."""
        self._is_requested = True

    def reload_if_changed(self) -> None:
        """Load the file if it has changed or a reload was requested; only report an invalid file."""
        state = self._file_state()
        is_news = state != self._state or self._is_requested
        if is_news or self._is_unread:
            # Set before the load, so that an invalid file is not loaded again until it changes.
            self._state, self._is_requested, self._is_unread = state, False, False
            self._fault = self._reload(is_news=is_news)
        self._report_fault()

    def _reload(self, *, is_news: bool) -> str:
        """Replace the calling AEs by those of the file; return why this failed, or ""."""
        try:
            fresh = self._load()
        except ConfigurationError as error:
            return str(error)
        if faults := unknown_references(self._settings, fresh.receiver.callers):
            return f"{'; '.join(faults)}, since this process started"
        anew = {"callers": fresh.receiver.callers, "open": fresh.receiver.open}
        receiver = self._settings.receiver.model_copy(update=anew)
        self._settings = self._settings.model_copy(update={"receiver": receiver})
        if is_news:
            log.info("callers_reloaded", callers=len(fresh.receiver.callers))
        return ""

    def _report_fault(self) -> None:
        """Log and report a new fault, or the end of a fault."""
        fault = self._fault
        if fault == self._reported:
            return
        if fault:
            log.error(NOT_RELOADED.value, reason=one_line(fault))
        try:
            if self._report is not None:
                self._report(fault)
        except StoreError as error:
            log.warning("incident_not_recorded", reason=str(error))
            return
        self._reported = fault

    def _file_state(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def incident_reporter(store: Store, path: Path | None, actor: str) -> Callable[[str], None]:
    """Return a function that shows one incident while the calling AEs of a file are not in force.

    Args:
        store: Where incidents are recorded.
        path: The settings file on this machine; None if the settings come from the environment.
        actor: The part of the service that reports.
    """
    subject = f"{path or 'the environment'} on {socket.gethostname()}"

    def report(fault: str) -> None:
        if not fault:
            store.remove_incidents(kind=NOT_RELOADED, subject=subject)
            return
        # Every process that uses the calling AEs reports: only one incident, the latest, is shown.
        detail = f"The changed receiver.callers are not in force: {fault}"
        store.replace_incident(actor=actor, kind=NOT_RELOADED, subject=subject, detail=detail)

    return report


def reading_for(settings: Settings, caller: Caller | None, chosen: str = "") -> tuple[str, Reading]:
    """Return the name and the settings of the model that reads what a calling AE sends.

    Args:
        settings: The settings.
        caller: The calling AE; a model in its table comes first.
        chosen: The model that a person chose for new studies (`Store.chosen_models`); "" for none.
    """
    name = (caller and caller.model) or chosen or settings.model_name
    return name, settings.readings().get(name, settings.reading)


def job_request(
    settings: Settings, caller: Caller | None, study_uid: str, calling_ae: str, *, chosen: str = ""
) -> JobRequest:
    """Return the model and the destinations for a study, by the current settings of its calling AE.

    `chosen` is the model that a person chose, as in `reading_for`.
    """
    model, reading = reading_for(settings, caller, chosen)
    return JobRequest(
        study_instance_uid=study_uid,
        model=model,
        version=reading.model_version,
        calling_ae=calling_ae,
        destinations=destinations_for(settings, caller),
    )


def destinations_for(settings: Settings, caller: Caller | None) -> list[str]:
    """Return the destinations' names for a calling AE; all configured ones if its table names none."""
    names = [destination.name for destination in settings.destinations]
    if caller is None or caller.destinations is None:
        return names
    return [name for name in names if name in caller.destinations]
