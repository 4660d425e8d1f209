"""`wetread receive-hl7`: an MLLP listener for final reports, as a process of its own."""

import contextlib
import socket
import threading
import time
from contextlib import closing
from functools import partial
from typing import Final

from dicom.scp.server_tls import HandshakeFailed, RenewedContext, TlsFiles, secured
from service.checks.tls_files import tls_fault
from service.errors import ConfigurationError
from service.hl7.connection import Connection, Limits
from service.hl7.counts import MessageCounts
from service.hl7.taking import MessageTaker
from service.log import get_logger, report_untested_versions
from service.monitoring.background import Task, in_thread
from service.monitoring.heartbeat import Heartbeat
from service.records import ProcessRole, StatusReport
from service.settings.config import Settings
from service.settings.keys.base import is_in_networks
from service.settings.keys.hl7 import Hl7
from service.settings.setting_rules import is_loopback
from service.store import Store
from service.system import psycopg_private
from service.system.gc_tuning import prepare_memory
from service.system.signals import on_sighup, stop_event
from service.web.server import bind, published_address

ROLE: Final = ProcessRole.HL7
_POLL_SECONDS: Final = 0.5
_HANDSHAKE_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 10.0

log = get_logger(__name__)


class Listener:
    """Accepts connections, each served by a thread of its own."""

    def __init__(
        self,
        settings: Hl7,
        listening: socket.socket,
        taker: MessageTaker,
        tls: RenewedContext | None,
    ) -> None:
        """Take the settings, the listening socket, what messages are given to, and TLS if it is set."""
        self._settings, self._listening, self._taker, self._tls = settings, listening, taker, tls
        self._limits = Limits(
            message_bytes=settings.max_message_bytes,
            message_seconds=settings.message_seconds,
            idle_seconds=settings.idle_seconds,
        )
        self._threads: list[threading.Thread] = []
        self._task = Task("serve an HL7 connection", passed_on=(OSError,))

    def run(self, stop: threading.Event) -> None:
        """Accept until the event is set; then wait for messages that are being taken."""
        self._listening.settimeout(_POLL_SECONDS)
        while not stop.is_set():
            try:
                peer, address = self._listening.accept()
            except TimeoutError:
                continue
            except OSError as error:
                log.warning("hl7_not_accepted", reason=error.strerror or type(error).__name__)
                stop.wait(_POLL_SECONDS)
                continue
            self._admit(peer, str(address[0]), stop)
        until = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _admit(self, peer: socket.socket, address: str, stop: threading.Event) -> None:
        self._threads = [each for each in self._threads if each.is_alive()]
        reason = ""
        if not is_in_networks(address, self._settings.peers):
            reason = "not in hl7.peers"
        elif len(self._threads) >= self._settings.max_connections:
            reason = "hl7.max_connections are open"
        if reason:
            log.warning("hl7_connection_refused", address=address, reason=reason)
            peer.close()
            return
        run = partial(self._run, peer, address, stop)
        thread = threading.Thread(target=run, name=f"hl7 {address}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, peer: socket.socket, address: str, stop: threading.Event) -> None:
        log.info("hl7_connected", address=address)
        try:
            self._task.attempt(partial(self._serve, peer, address, stop))
        except HandshakeFailed as error:
            log.warning("hl7_connection_refused", address=address, reason=error.cause.value)
        except OSError as error:
            log.warning("hl7_connection_lost", address=address, reason=type(error).__name__)
        finally:
            with contextlib.suppress(OSError):
                peer.close()

    def _serve(self, peer: socket.socket, address: str, stop: threading.Event) -> None:
        if self._tls is not None:
            peer.settimeout(_HANDSHAKE_SECONDS)
            peer = secured(peer, self._tls())
        with peer:
            Connection(peer, address, self._taker, limits=self._limits, stop=stop).serve()


def tls_of(settings: Settings) -> RenewedContext | None:
    """Return the TLS context of the listener, renewed with its files; None without TLS.

    Raises:
        ConfigurationError: The TLS files cannot be used.
    """
    table = settings.hl7
    if table.tls_certificate is None or table.tls_key is None:
        return None
    files = TlsFiles(
        certificate=table.tls_certificate, key=table.tls_key, client_ca=table.tls_client_ca
    )
    try:
        return RenewedContext(files)
    except OSError as error:
        message = f"hl7.tls_certificate, hl7.tls_key: cannot be used: {error.strerror or error}"
        raise ConfigurationError(tls_fault(settings, "hl7.") or message) from None


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; the address in force is written to `run/receive-hl7.json`.

    Raises:
        StoreError: The database cannot be used at the start.
        ConfigurationError: hl7.port is not set or cannot be listened on, or a TLS file cannot be used.
    """
    table = settings.hl7
    if table.port is None:
        raise ConfigurationError("hl7.port: is required for the HL7 listener")
    report_untested_versions(psycopg_private.LIBRARY)
    tls = tls_of(settings)
    if tls is None and not is_loopback(table.host):
        log.warning(
            "reports_sent_unencrypted",
            reason="hl7.host is no loopback address, and there is no TLS",
        )
    with (
        closing(bind(table.host, table.port, section="hl7")) as listening,
        closing(Store.open(settings, receives=True)) as store,
    ):
        stop, written = stop_event(), threading.Event()
        on_sighup(lambda: log.info("nothing_to_reload"))
        counts = MessageCounts(store)
        taker = MessageTaker(store, settings.final_reports.taking, table.accession_fields, counts)
        port = listening.getsockname()[1]
        url = f"mllp{'s' if tls else ''}://{table.host}:{port}"
        beats = Heartbeat(store, (ROLE,), StatusReport(f"listening on port {port}"))
        prepare_memory()
        with (
            published_address(settings.run_dir, url, ROLE),
            beats.beating(),
            in_thread(partial(counts.write_until, written), written, "HL7 counts"),
        ):
            Listener(table, listening, taker, tls).run(stop)
