"""The service's errors; each message is a sentence for the person who must act.

WetreadError
├── ConfigurationError   the settings cannot be used; lists every fault
├── ReceiverNotListening the receiver's port is closed: start a new process
├── StoreError           a database operation failed
│   ├── StoreUnavailable     unreachable, locked or full: try again
│   │   └── StoreNotWritable     readable only: a replica, a full disk, or missing permissions
│   ├── SchemaMismatch       not at the revision that this code needs
│   ├── QueryTooSlow         a list of a page exceeded its time limit: narrow the filter
│   ├── NotFound             no such job, Study or Instance
│   ├── LeaseLost            this claim of the job is void: stop, write nothing
│   └── DraftingStopped      a person has stopped drafting: record no draft
├── SelectionError       a selection of jobs is empty, too wide or invalid
├── InvalidReview        the text, the answers or the decision of a review cannot be taken
├── ReviewConflict       the review or the decision changed meanwhile (in `service.review.conflicts`)
├── KeyConflict          an Idempotency-Key cannot be used for this request (in `service.idempotency`)
├── InvalidToken         a bearer token cannot be made or found (in `service.tokens`)
├── VectorFileDamaged    a file of image vectors cannot be used: rebuild it
├── BrokerUnavailable    Redis does not answer: jobs wait in the database
└── ReadingError         a Study could not be read
    ├── TransientReadingError   temporary: try again
    │   ├── ModelServerAway         the model's server is away or overloaded: no Study is at fault
    │   ├── ReaderStopped           this worker cannot read any more: replace it
    │   └── ReadingHangs            the reading made no step for too long
    ├── PermanentReadingError   permanent: fail the job
    │   ├── EmptyText               the model wrote no text
    │   └── TextNotLanguage         the model's text is not language: no draft, no codes
    └── ReadingCanceled        the draft is no longer needed: write nothing
"""

from typing import ClassVar


class WetreadError(Exception):
    """Base of the service's errors; `retry` says whether the same call can succeed later."""

    retry: ClassVar[bool] = False


class ConfigurationError(WetreadError):
    """The settings, or what they name, cannot be used; the message names each fault with its key."""


class ReceiverNotListening(WetreadError):
    """The receiver has stopped listening; only a new process can listen again."""


class StoreError(WetreadError):
    """A database operation failed."""


class StoreUnavailable(StoreError):
    """The database is unreachable, locked or full."""

    retry = True


class StoreNotWritable(StoreUnavailable):
    """The database can be read but not written; the message names the cause."""


class SchemaMismatch(StoreError):
    """The database is not at the revision that this code needs: run `wetread db upgrade`.

    Attributes:
        is_empty: Whether the database is empty or does not exist yet.
    """

    def __init__(self, message: str, *, is_empty: bool = False) -> None:
        super().__init__(message)
        self.is_empty = is_empty


class QueryTooSlow(StoreError):
    """A query of a page exceeded its time limit; a narrower filter is needed."""


class NotFound(StoreError):
    """There is no such job, Study, Instance, model or destination."""


class LeaseLost(StoreError):
    """This claim of the job is void; its results must not be written."""


class DraftingStopped(StoreError):
    """A person has stopped drafting: no draft may be recorded; the message names who and why."""


class SelectionError(WetreadError):
    """A selection of jobs is empty, too wide or invalid."""


class InvalidReview(WetreadError):
    """The text, the answers or the decision of a review cannot be taken; the message states why."""


class VectorFileDamaged(WetreadError):
    """A file of image vectors cannot be used; the message names it and how to rebuild it."""


class BrokerUnavailable(WetreadError):
    """Redis does not answer; jobs wait in the database until the sweeper publishes them."""

    retry = True


class ReadingError(WetreadError):
    """A Study could not be read."""


class TransientReadingError(ReadingError):
    """Reading failed for a temporary reason (memory, device, file system)."""

    retry = True


class ModelServerAway(TransientReadingError):
    """The server of the model is away or overloaded, which is independent of the Study."""


class ReaderStopped(TransientReadingError):
    """The computation in this worker has ended or hangs; another process may read the Study."""


class ReadingHangs(TransientReadingError):
    """The reading made no step for too long, and this process cannot end it."""


class PermanentReadingError(ReadingError):
    """Reading failed, and the same Study would fail again."""


class EmptyText(PermanentReadingError):
    """The model wrote no text for this image."""


class TextNotLanguage(PermanentReadingError):
    """The model's text is not language, for instance because of a wrong tokenizer or damaged weights."""


class ReadingCanceled(ReadingError):
    """The draft is no longer needed; the code that canceled the reading sets the job's state."""
