"""Who may send and what differs for it, as it is configured now.

The file is read again when it changes or on SIGHUP. Only what it says of callers is taken anew: models
and destinations have processes that know them since their start.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from service.errors import ConfigurationError, StoreError
from service.log import get_logger
from service.records import Wanted
from service.sentence import one_line
from service.settings.config import Settings
from service.settings.reading import Reading
from service.settings.sections import Caller
from service.settings.setting_rules import unknown_to
from service.store import Store
from service.system.signals import on_hangup

NOT_RELOADED: Final = "callers_not_reloaded"

log = get_logger(__name__)


class CallingAEs:
    """The callers' settings in force; safe to ask from many threads."""

    def __init__(
        self,
        settings: Settings,
        path: Path | None,
        load: Callable[[], Settings],
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Take what is in force and how it is loaded again.

        Args:
            settings: The settings in force.
            path: The file that they came from.
            load: Loads them again; raises ConfigurationError.
            report: Called with the reason why callers were not taken from a changed file, and with ""
                when it is right again; may raise StoreError, and is then called again.
        """
        self._report = report
        self._fault = ""
        self._reported: str | None = None
        self._settings = settings
        self._path = path
        self._load = load
        self._state = self._file_state()
        self._asked = self._unread = False

    def __call__(self, ae_title: str) -> Caller | None:
        """Return what is configured for a calling AE title, or None when it may not send."""
        return self._settings.caller(ae_title)

    def now(self, ae_title: str) -> Caller | None:
        """Return the same, after a look at the file: for who asks now and then."""
        self.look()
        return self(ae_title)

    @property
    def settings(self) -> Settings:
        """The settings of the start, with the callers that are in force now."""
        return self._settings

    def heed_hangup(self) -> None:
        """Have SIGHUP ask from now on; for the main thread only.

        A signal that came while this process started was ignored, so the next look loads the file; that
        is no reload to be logged unless the file has changed.
        """
        on_hangup(self.ask)
        self._unread = True

    def ask(self) -> None:
        """Have the next look load the file again, changed or not."""
        self._asked = True

    def look(self) -> None:
        """Load the file again when it has changed, or when that was asked for; ignore a broken one."""
        state = self._file_state()
        is_news = state != self._state or self._asked
        if is_news or self._unread:
            self._state, self._asked, self._unread = state, False, False
            self._fault = self._load_again(is_news=is_news)
        self._tell()

    def _load_again(self, *, is_news: bool) -> str:
        """Take the callers of the file; return why they were not taken, or ""."""
        try:
            fresh = self._load()
        except ConfigurationError as error:
            return str(error)
        if faults := unknown_to(self._settings, fresh.receiver.callers):
            return f"{'; '.join(faults)}, since this process started"
        anew = {"callers": fresh.receiver.callers, "open": fresh.receiver.open}
        receiver = self._settings.receiver.model_copy(update=anew)
        self._settings = self._settings.model_copy(update={"receiver": receiver})
        if is_news:
            log.info("callers_reloaded", callers=len(fresh.receiver.callers))
        return ""

    def _tell(self) -> None:
        """Report a fault that is new, or the end of one."""
        fault = self._fault
        if fault == self._reported:
            return
        if fault:
            log.error(NOT_RELOADED, reason=one_line(fault))
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


def on_page(store: Store, path: Path | None, actor: str) -> Callable[[str], None]:
    """Return what shows on the page that the callers of a file are not in force, as long as they aren't.

    Args:
        store: Where incidents are kept.
        path: The file, on this machine.
        actor: The part that reports.
    """
    subject = f"{path or 'the environment'} on {socket.gethostname()}"

    def report(fault: str) -> None:
        store.end_incident(kind=NOT_RELOADED, subject=subject)
        if fault:
            detail = f"The changed callers are not in force: {fault}"
            store.record_incident(actor=actor, kind=NOT_RELOADED, subject=subject, detail=detail)

    return report


def reading_for(settings: Settings, caller: Caller | None) -> tuple[str, Reading]:
    """Return the name and the table of the model that reads what a caller sends."""
    name = (caller and caller.model) or settings.model_name
    return name, settings.readings().get(name, settings.reading)


def wanted_of(settings: Settings, caller: Caller | None, study_uid: str, calling_ae: str) -> Wanted:
    """Return how a study is to be read, and where its results go, as its caller is configured now."""
    model, reading = reading_for(settings, caller)
    return Wanted(
        study_instance_uid=study_uid,
        model=model,
        version=reading.model_version,
        calling_ae=calling_ae,
        destinations=destinations_for(settings, caller),
    )


def destinations_for(settings: Settings, caller: Caller | None) -> list[str]:
    """Return the names of the destinations of what a caller sends; all of them where it names none."""
    names = [destination.name for destination in settings.destinations]
    if caller is None or caller.destinations is None:
        return names
    return [name for name in names if name in caller.destinations]
