"""Sends the audit trail to a syslog server: TCP or TLS, the table as outbox, in a thread of its own.

A record counts as sent once the server has taken the bytes and kept the connection. Syslog over TCP has
no acknowledgement (RFC 5424): bytes that were on the way when the connection broke may be lost, so the
batch is then sent again; the record's number, in each message, identifies a second copy.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from dicom.network.client_tls import PeerTls
from service.audit import AuditRecord
from service.audit_message import syslog_frame
from service.errors import StoreError
from service.log import get_logger
from service.monitoring.alert_ends import end_alerts
from service.monitoring.background import Task
from service.records import IncidentKind
from service.settings.config import Settings
from service.store import Store

RECEIVER: Final = "syslog"
UNREACHABLE: Final = IncidentKind.AUDIT_NOT_EXPORTED
_EVERY_SECONDS: Final = 2.0
_BATCH: Final = 100
# After the last byte: a server that refuses closes the connection within this time.
_REFUSAL_SECONDS: Final = 0.2

log = get_logger(__name__)


class SyslogExport:
    """Sends what the syslog server has not got yet; a server that is away delays nothing else."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._audit = settings.audit
        self._host = socket.gethostname().replace(" ", "-")[:255] or "-"
        self._source = settings.site_name or self._host
        # None until the first look: an alert of an earlier run may be open.
        self._is_reported: bool | None = None
        self._task = Task("export the audit trail", passed_on=(StoreError, OSError))

    def send_new(self) -> int:
        """Send the next records; return how many were sent.

        Raises:
            OSError: The server cannot be reached, or took not all; the next call begins there.
            StoreError: The database does not answer.
        """
        if self._audit.syslog_host is None:
            return 0
        records = self._store.audit_from(self._store.audit_position(RECEIVER), limit=_BATCH)
        if records:
            self._send(records)
            self._store.set_audit_position(RECEIVER, records[-1].id)
        return len(records)

    def _send(self, records: Sequence[AuditRecord]) -> None:
        frames = [
            syslog_frame(record, self._source, host=self._host, process=os.getpid())
            for record in records
        ]
        with self._connection() as connection:
            connection.sendall(b"".join(frames))
            _check_open(connection)

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        audit = self._audit
        address = (audit.syslog_host, audit.syslog_port)
        with socket.create_connection(address, audit.syslog_timeout) as plain:
            if not audit.syslog_tls:
                yield plain
                return
            tls = PeerTls(ca=audit.tls_ca, certificate=audit.tls_certificate, key=audit.tls_key)
            with tls.context().wrap_socket(plain, server_hostname=audit.syslog_host) as secured:
                yield secured

    def try_to_send(self) -> None:
        """Send what there is; an incident and a log line say once that the server does not take it."""
        try:
            while self.send_new() == _BATCH:
                pass
        except OSError as error:
            self._report(f"{type(error).__name__}: {error.strerror or error}")
            return
        if self._is_reported is not False:
            with contextlib.suppress(StoreError):
                self._store.remove_incidents(kind=UNREACHABLE, subject=RECEIVER)
                end_alerts(self._store, [UNREACHABLE], RECEIVER)
                self._is_reported = False

    def run(self, stop: threading.Event) -> None:
        """Send until the event is set."""
        while not stop.wait(_EVERY_SECONDS):
            try:
                self._task.attempt(self.try_to_send)
            except StoreError as error:
                log.warning("store_unavailable", reason=type(error).__name__)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send in a thread for the length of the block, if a server is configured."""
        stop = threading.Event()
        thread = threading.Thread(target=partial(self.run, stop), name="audit-export", daemon=True)
        if self._audit.syslog_host is not None:
            thread.start()
        try:
            yield
        finally:
            stop.set()

    def _report(self, reason: str) -> None:
        if self._is_reported:
            return
        self._is_reported = True
        log.warning("audit_not_exported", reason=reason)
        with contextlib.suppress(StoreError):
            self._store.record_incident(
                actor="sweeper",
                kind=UNREACHABLE,
                subject=RECEIVER,
                detail=f"The syslog server {self._audit.syslog_host} does not take the audit trail "
                f"({reason}). The records wait in the database. Check [audit] and the server.",
            )


def _check_open(connection: socket.socket) -> None:
    """Raise ConnectionError if the server has closed the connection."""
    connection.settimeout(_REFUSAL_SECONDS)
    try:
        if connection.recv(1) == b"":
            raise ConnectionResetError("the server closed the connection")
    except TimeoutError:
        return
