"""Storage commitment (PS3.4 J): checks the hashes of the files and reports the result to the peer.

A report over an association of our own is a *promise*: a small file in the data folder. It is written
and synced before the peer's request is accepted, and removed once the report is delivered or given up
(24 h).
"""

import json
import threading
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from dicom.errors import DestinationError, OutOfResources
from dicom.scu.association import Peer
from dicom.scu.commitment import (
    CLASS_INSTANCE_CONFLICT,
    NO_SUCH_INSTANCE,
    CommitmentRequest,
    Reference,
    deliver_report,
    make_report,
)
from dicom.spool.durable import write_durably
from dicom.spool.spool import is_kept
from dicom.study import Instance
from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.records import IncidentKind
from service.sentence import ended
from service.settings.config import Settings
from service.store import Store
from service.system.spool_walk import holds_folders

POLL_SECONDS: Final = 0.5
_FIRST_WAIT: Final = 2.0
_LONGEST_WAIT: Final = 300.0
_GIVE_UP_AFTER: Final = 24 * 3600.0

log = get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Promise:
    """A report that is still to be sent; `since` and `due` (next try) are seconds since 1970."""

    request: CommitmentRequest
    host: str
    port: int
    called: str
    since: float
    tries: int = 0
    due: float = 0.0


class Commitments:
    """Checks commitment requests, and delivers promised reports in a thread of its own."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Take the settings and the store in which Instances are recorded.

        Raises:
            OSError: The folder of the promises cannot be created.
        """
        self._settings = settings
        self._store = store
        self._folder = settings.data_dir / "commitments"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._wake = threading.Event()
        self._stop = False
        self._stuck: dict[str, str | None] = {}
        self._task = Task("report storage commitment")
        self._thread = threading.Thread(target=self._run, name="commitments", daemon=True)

    @property
    def fault(self) -> str:
        """A sentence while an error in this program prevents reports, else ""."""
        return self._task.fault

    def start(self) -> None:
        """Start the thread; promises of an earlier run are delivered too."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, waiting 10 s at most; the next start delivers the remaining promises."""
        self._stop = True
        self._wake.set()
        self._thread.join(10)

    def failures(self, request: CommitmentRequest) -> dict[str, int]:
        """Return the Failure Reason of each Instance that is not committed, by SOP Instance UID.

        The files are read now.

        Raises:
            OutOfResources: The database or the spool cannot be read now, so the answer is unknown.
        """
        found = {each.sop_instance_uid: self._fault(each) for each in request.references}
        return {uid: fault for uid, fault in found.items() if fault}

    def _fault(self, reference: Reference) -> int:
        """Return the Failure Reason; 0 if the Instance is recorded and its file's hash is right."""
        try:
            images = self._store.instances_with_uid(reference.sop_instance_uid)
        except StoreError as error:
            raise OutOfResources(f"the database cannot be read now: {error}") from None
        if not images:
            return NO_SUCH_INSTANCE
        if all(image.sop_class_uid != reference.sop_class_uid for image in images):
            return CLASS_INSTANCE_CONFLICT
        # One UID may have come with different bytes. The request does not say which, so check all.
        whole = all(self._is_intact(image) for image in images)
        return 0 if whole else NO_SUCH_INSTANCE

    def _is_intact(self, image: Instance) -> bool:
        try:
            if is_kept(image.path, image.digest):
                return True
            if image.path.exists() or holds_folders(self._settings.spool_dir):
                return False
        except OSError as error:
            raise OutOfResources(f"the spool cannot be read now: {error.strerror}") from None
        raise OutOfResources("the spool is empty: its disk may not be mounted")

    def promise(self, request: CommitmentRequest, *, host: str, port: int, called: str) -> None:
        """Promise a report to a peer; the promise is on stable storage when this returns.

        Raises:
            OutOfResources: The promise cannot be written.
        """
        promise = _Promise(request=request, host=host, port=port, called=called, since=time.time())
        try:
            self._write(promise)
        except OSError:
            raise OutOfResources("the promise of a report cannot be written") from None
        self._wake.set()

    def _path(self, request: CommitmentRequest) -> Path:
        return self._folder / f"{sha256(request.transaction_uid.encode()).hexdigest()[:32]}.json"

    def _write(self, promise: _Promise) -> None:
        write_durably(self._path(promise.request), json.dumps(asdict(promise)).encode())

    def _run(self) -> None:
        while not self._stop:
            self._task.attempt_each(self._try, sorted(self._folder.glob("*.json")))
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()

    def _try(self, path: Path) -> None:
        try:
            self._process(path)
        except OSError as error:
            # The disk is full or not mounted. The promise stays and is tried again.
            self._log_once(path.name, error.strerror)
        else:
            self._stuck.pop(path.name, None)

    def _log_once(self, name: str, reason: str | None) -> None:
        """Log why a promise cannot be processed, once for each reason in a row."""
        if self._stuck.get(name, "") != reason:
            self._stuck[name] = reason
            log.warning("commitment_not_processed", file=name, reason=reason)

    def _process(self, path: Path) -> None:
        try:
            promise = _read(path)
        except FileNotFoundError:
            return  # another receiver process has delivered it
        except (ValueError, TypeError, KeyError) as error:
            log.error("commitment_file_unreadable", file=path.name, reason=type(error).__name__)
            # Kept for inspection; without the suffix `.json` the thread does not read it again.
            path.rename(path.with_suffix(".unreadable"))
            return
        wait = promise.due - time.time()
        # A wait longer than any pause means that the clock was ahead when `due` was written: try now.
        if 0 < wait <= _LONGEST_WAIT or self._stop:
            return
        promise.tries += 1
        promise.due = time.time() + min(_FIRST_WAIT * 2**promise.tries, _LONGEST_WAIT)
        # Written before the try, so that another receiver process does not try at the same time.
        self._write(promise)
        self._deliver(promise, path)

    def _deliver(self, promise: _Promise, path: Path) -> None:
        peer = Peer(
            host=promise.host,
            port=promise.port,
            called=promise.called,
            calling=self._settings.receiver.ae_title,
        )
        try:
            failures = self.failures(promise.request)
        except OutOfResources as error:
            # Our own temporary fault must not become the final answer to the peer.
            log.warning("commitment_unknown", tries=promise.tries, reason=str(error))
            return
        try:
            deliver_report(peer, *make_report(promise.request, failures))
        except DestinationError as error:
            log.warning("commitment_not_reported", tries=promise.tries, reason=str(error))
            if time.time() - promise.since < _GIVE_UP_AFTER:
                return
            self._record_given_up(promise, str(error))
        else:
            log.info("commitment_reported", to=promise.called, tries=promise.tries)
        path.unlink(missing_ok=True)

    def _record_given_up(self, promise: _Promise, reason: str) -> None:
        try:
            self._store.record_incident(
                actor="receive",
                kind=IncidentKind.COMMITMENT,
                subject=promise.called,
                detail=f"A storage commitment report was given up: {ended(reason)}",
            )
        except StoreError as error:
            log.warning("incident_not_recorded", reason=str(error))


def _read(path: Path) -> _Promise:
    values = json.loads(path.read_text())
    request = values.pop("request")
    references = request["references"]
    if not isinstance(references, list):
        raise TypeError("references")
    read = CommitmentRequest(
        transaction_uid=str(request["transaction_uid"]),
        references=tuple(Reference(**each) for each in references),
    )
    return _Promise(request=read, **values)
