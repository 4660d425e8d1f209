"""Sends the storage commitment reports that are owed (PS3.4 J.3.3), each by one sender at a time.

    claim (lease) -> check the files -> store the outcome -> N-EVENT-REPORT -> REPORTED
                          | unknown: later      | not accepted: later, GIVEN_UP after the limit

A report is sent again when its sender ends before REPORTED is committed: a peer gets it at least once.
The outcome is determined for each attempt, because a file may be lost between two of them.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from dicom.errors import DestinationError, DestinationRejected, OutOfResources
from dicom.scu.association import Peer
from dicom.scu.commitment import deliver_report, make_report
from dicom.scu.commitment_request import CommitmentRequest, Reference
from service.errors import LeaseLost, StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.receiver.commitment import Commitments
from service.records import CommitmentReport
from service.sentence import ended
from service.settings.config import Settings
from service.settings.keys.sections import Caller
from service.store import Store
from service.store.commitments import KEPT, LONGEST_PAUSE

# Time limit of the negotiation and of the report with its response.
_EXCHANGE_SECONDS: Final = 15.0
# Longer than an attempt to connect, negotiate, report and release, each with its time limit.
_LEASE_SECONDS: Final = 75.0
_EXTEND_EVERY: Final = 15.0
_FIRST_PAUSE: Final = timedelta(seconds=2)
_MOST_DOUBLINGS: Final = 10
# Peers served at the same time: one that does not answer must not delay the reports to others.
_PEERS_AT_ONCE: Final = 4
_STOP_SECONDS: Final = 10.0
_REMOVE_EVERY: Final = 3600.0

log = get_logger(__name__)


@dataclass(slots=True)
class _Renewal:
    """Extends the claim of a report while its files are checked."""

    store: Store
    report: CommitmentReport
    at: float = field(default_factory=time.monotonic)

    def __call__(self) -> None:
        """Extend the claim, every 15 s at most.

        Raises:
            LeaseLost: Another process has claimed the report.
        """
        if time.monotonic() - self.at >= _EXTEND_EVERY:
            self.store.extend_report(self.report, _LEASE_SECONDS)
            self.at = time.monotonic()


class CommitmentSender:
    """Sends owed reports in threads of its own; several processes may each have one."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        owner: str,
        callers: Callable[[str], Caller | None] | None = None,
    ) -> None:
        """Take the store, the settings, the name in claims and the settings of calling AEs.

        `callers` returns the settings of a calling AE title; those in `settings` when None.
        """
        self._store = store
        self._settings = settings
        self._owner = owner
        self._callers = callers or settings.caller
        self._commitments = Commitments(settings, store)
        self._stop = threading.Event()
        self._task = Task("report storage commitment", passed_on=(StoreError, OSError))
        self._thread = threading.Thread(target=self._run, name="commitments", daemon=True)
        self._senders: list[threading.Thread] = []
        self._is_prepared = False
        self._removed_at = float("-inf")

    def start(self) -> None:
        """Start to send, also what an earlier run has left."""
        self._thread.start()

    def stop(self) -> None:
        """End the threads, waiting 10 s at most; a report under way is sent again by the next run."""
        self._stop.set()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in [self._thread, *self._senders]:
            if thread.ident is not None:  # it was started
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._task.attempt(self._start_due)
            except (StoreError, OSError) as error:
                log.warning("commitments_not_sent", reason=type(error).__name__)
            self._stop.wait(self._settings.sweep.interval)

    def _start_due(self) -> None:
        """Start a thread for each peer to which a report is due."""
        self._prepare()
        self._remove_old()
        self._senders = [each for each in self._senders if each.is_alive()]
        while len(self._senders) < _PEERS_AT_ONCE and self._store.is_report_due():
            report = self._store.claim_report(self._owner, _LEASE_SECONDS)
            if report is None:
                return
            thread = threading.Thread(target=self._serve, args=(report,), daemon=True)
            self._senders.append(thread)
            thread.start()

    def _prepare(self) -> None:
        """Release the claims of this owner, and take over the files of an earlier version, once."""
        if not self._is_prepared:
            self._store.release_reports(self._owner)
            take_over_files(self._store, self._settings.data_dir / "commitments")
            self._is_prepared = True

    def _remove_old(self) -> None:
        if time.monotonic() - self._removed_at >= _REMOVE_EVERY:
            self._store.remove_ended_reports(self._store.now() - KEPT)
            self._removed_at = time.monotonic()

    def _serve(self, first: CommitmentReport) -> None:
        """Send a claimed report, then the others to the same peer while they are due."""
        task = Task(f"report storage commitment to {first.ae_title}")
        report: CommitmentReport | None = first

        def send() -> None:
            nonlocal report
            while report is not None and not self._stop.is_set():
                self._send(report)
                report = self._store.claim_report(
                    self._owner, _LEASE_SECONDS, ae_title=first.ae_title
                )

        task.attempt(lambda: _logged(send))

    def _send(self, report: CommitmentReport) -> None:
        try:
            failures = self._commitments.failures(report.request, _Renewal(self._store, report))
        except OutOfResources as error:
            # Every failure reason is final for the peer, so our own fault must not become one.
            log.warning("commitment_unknown", tries=report.attempts, reason=str(error))
            pause = _pause(report)
            self._store.postpone_report(report, pause, ended(str(error)), is_peer_away=False)
            return
        # Also extends the claim: the exchange must end within the lease.
        self._store.extend_report(report, _LEASE_SECONDS, failures=failures)
        try:
            deliver_report(self._peer(report), *make_report(report.request, failures))
        except DestinationError as error:
            log.warning("commitment_not_reported", tries=report.attempts, reason=str(error))
            self._fail(report, error)
        else:
            self._store.end_report(report)
            log.info("commitment_reported", to=report.ae_title, tries=report.attempts)

    def _fail(self, report: CommitmentReport, error: DestinationError) -> None:
        limit = timedelta(hours=self._settings.receiver.commitment_give_up_hours)
        before, error_text = self._store.now() - limit, ended(str(error))
        if report.created_at <= before:
            count = self._store.give_up_reports(report, before, error_text)
            log.error("commitment_given_up", to=report.ae_title, reports=count)
            return
        is_away = not isinstance(error, DestinationRejected)
        self._store.postpone_report(report, _pause(report), error_text, is_peer_away=is_away)

    def _peer(self, report: CommitmentReport) -> Peer:
        """Return where the report is sent: as the settings say now, else as when it was requested."""
        caller = self._callers(report.ae_title)
        now = caller if caller is not None and caller.commitment_port is not None else None
        return Peer(
            host=(now.host if now else None) or report.host,
            port=(now.commitment_port if now else None) or report.port,
            called=report.ae_title,
            calling=self._settings.receiver.ae_title,
            timeout=_EXCHANGE_SECONDS,
        )


def _logged(work: Callable[[], None]) -> None:
    """Do `work`; a lost claim ends it, and an error of the database with a log line."""
    try:
        work()
    except LeaseLost:
        return
    except StoreError as error:
        log.warning("commitments_not_sent", reason=type(error).__name__)


def _pause(report: CommitmentReport) -> timedelta:
    doublings = min(report.attempts, _MOST_DOUBLINGS)
    pause: timedelta = _FIRST_PAUSE * 2.0**doublings
    return min(pause, LONGEST_PAUSE)


def take_over_files(store: Store, folder: Path) -> None:
    """Record the reports that an earlier version kept as files, and remove the files.

    Raises:
        StoreError: The database does not accept them; their files stay.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            request, where = _read(path)
        except OSError as error:
            log.error("commitment_file_unreadable", file=path.name, reason=error.strerror)
            continue  # the next start tries again
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.error("commitment_file_unreadable", file=path.name, reason=type(error).__name__)
            # Kept for inspection; without the suffix `.json` it is not read again.
            path.rename(path.with_suffix(".unreadable"))
            continue
        store.owe_report(request, **where)
        path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[CommitmentRequest, dict[str, Any]]:
    values = json.loads(path.read_text())
    asked = values["request"]
    request = CommitmentRequest(
        transaction_uid=str(asked["transaction_uid"]),
        references=tuple(Reference(**each) for each in asked["references"]),
    )
    where = {"ae_title": str(values["called"]), "host": str(values["host"])}
    return request, {**where, "port": int(values["port"])}
