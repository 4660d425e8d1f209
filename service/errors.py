"""What can go wrong inside the service, each with a sentence for the person who must act.

WetreadError
├── ConfigurationError   the settings cannot be used; names every fault
├── StoreError           the database
│   ├── StoreUnavailable     away, locked or full: try again
│   │   └── StoreNotWritable     answers, and takes nothing: read-only, full, or not ours
│   ├── SchemaMismatch       not at the revision that this code needs
│   ├── NotFound             no such job, study or instance
│   └── LeaseLost            somebody else holds the job now: stop, write nothing
├── SelectionError       which jobs are meant cannot be told
├── BrokerUnavailable    Redis does not answer: jobs wait in the database
└── ReadingError         a study could not be read
    ├── TransientReadingError   may pass: try again
    │   ├── ReaderStopped           this worker reads no more: it must be replaced
    │   └── ReadingHangs            it made no step for too long
    ├── PermanentReadingError   will not pass: fail the job
    │   └── TextNotLanguage         the model's text is not language: no draft, no code
    └── ReadingCancelled        nobody wants the draft any more: write nothing
"""

from typing import ClassVar


class WetreadError(Exception):
    """Base of the service's errors; `retry` says whether the same call can succeed later."""

    retry: ClassVar[bool] = False


class ConfigurationError(WetreadError):
    """The settings cannot be used; the message lists every fault with its key."""


class ReceiverNotListening(WetreadError):
    """The receiver listens no more; only a new process can."""


class StoreError(WetreadError):
    """The database refused."""


class StoreUnavailable(StoreError):
    """The database is away, locked or full."""

    retry = True


class StoreNotWritable(StoreUnavailable):
    """The database can be read and not be written; the message says what to look at."""


class SchemaMismatch(StoreError):
    """The database is not at the revision that this code needs: run `wetread db upgrade`.

    Attributes:
        is_empty: It is empty or not there yet.
    """

    def __init__(self, message: str, *, is_empty: bool = False) -> None:
        super().__init__(message)
        self.is_empty = is_empty


class NotFound(StoreError):
    """There is no such job, study or instance."""


class LeaseLost(StoreError):
    """Somebody else holds the job now; whatever was computed must not be written."""


class SelectionError(WetreadError):
    """A choice of jobs is empty, too wide or not understood."""


class BrokerUnavailable(WetreadError):
    """Redis does not answer; jobs wait in the database and the sweeper publishes them later."""

    retry = True


class ReadingError(WetreadError):
    """A study could not be read."""


class TransientReadingError(ReadingError):
    """Reading failed for a reason that may pass (memory, device, file system)."""

    retry = True


class ReaderStopped(TransientReadingError):
    """What computes in this worker has ended or hangs: another process may read the study."""


class ReadingHangs(TransientReadingError):
    """The reading made no step for too long; nothing in this process can end it."""


class PermanentReadingError(ReadingError):
    """Reading failed and the same study will fail again."""


class TextNotLanguage(PermanentReadingError):
    """What the model wrote is not language, as of a wrong tokenizer or of damaged weights."""


class ReadingCancelled(ReadingError):
    """Nobody wants the draft any more; whoever asked for the end decides what becomes of the job."""
