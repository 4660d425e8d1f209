"""Who may send and what differs for it, as it is configured now.

The file is read again when it changes or on SIGHUP. Only what it says of callers is taken anew: models
and destinations have processes that know them since their start.
"""

import signal
from collections.abc import Callable
from pathlib import Path

from service.config import Settings, unknown_to
from service.errors import ConfigurationError
from service.log import get_logger
from service.reading_section import Reading
from service.records import Wanted
from service.sections import Caller

log = get_logger(__name__)


class Callers:
    """The callers' settings in force; safe to ask from many threads."""

    def __init__(self, settings: Settings, path: Path | None, load: Callable[[], Settings]) -> None:
        """Take the settings in force, the file that they came from, and what loads them again."""
        self._settings = settings
        self._path = path
        self._load = load
        self._state = self._file_state()
        self._asked = False

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
        """Have SIGHUP ask from now on; for the main thread only."""
        signal.signal(signal.SIGHUP, lambda *_: self.ask())

    def ask(self) -> None:
        """Have the next look load the file again, changed or not."""
        self._asked = True

    def look(self) -> None:
        """Load the file again when it has changed, or when somebody asked; a broken one is ignored."""
        state = self._file_state()
        if state == self._state and not self._asked:
            return
        self._state, self._asked = state, False
        try:
            fresh = self._load()
        except ConfigurationError as error:
            log.error("callers_not_reloaded", reason=str(error))
            return
        if faults := unknown_to(self._settings, fresh.receiver.callers):
            reason = f"{'; '.join(faults)}, since this process started"
            log.error("callers_not_reloaded", reason=reason)
            return
        anew = {"callers": fresh.receiver.callers, "open": fresh.receiver.open}
        receiver = self._settings.receiver.model_copy(update=anew)
        self._settings = self._settings.model_copy(update={"receiver": receiver})
        log.info("callers_reloaded", callers=len(fresh.receiver.callers))

    def _file_state(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


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
