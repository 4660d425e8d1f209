"""`wetread receive`: the process that runs the storage SCP, from its start to its end."""

import errno
import os
import resource
import socket
import ssl
import sys
from typing import Final

from dicom import pynetdicom_private
from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.server_tls import TlsFiles
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool
from service.checks.tls_files import tls_fault
from service.errors import ConfigurationError, ReceiverNotListening, StoreError
from service.log import get_logger, report_untested_versions
from service.monitoring.heartbeat import Probe
from service.queue import kombu_private
from service.queue.job_queue import Queue
from service.receiver.association_counts import AssociationCounts
from service.receiver.calling_aes import CallingAEs, incident_reporter
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.refusals import Refusals
from service.receiver.storage_service import StorageService
from service.settings.config import Settings, config_path, load_settings
from service.settings.endpoints import endpoints
from service.store import Store
from service.system import broker_connection, psycopg_private
from service.system.gc_tuning import prepare_memory
from service.system.listening import holders_of, refusal
from service.system.signals import stop_event

_POLL_SECONDS: Final = 0.5
_SWITCH_SECONDS: Final = 0.001

log = get_logger(__name__)


def serve(settings: Settings, *, number: int = 1) -> None:
    """Receive until SIGTERM or SIGINT; then let running associations finish (`receiver.stop_seconds`).

    Args:
        settings: The settings in force.
        number: The number of this receiver among those of this machine, from 1.

    Raises:
        StoreError: The database cannot be used at the start.
        ConfigurationError: No broker is configured, the address cannot be bound, or the installed
            pynetdicom lacks what receiving needs.
        ReceiverNotListening: A port has closed by a fault; the supervisor starts another process.
    """
    # Below Python's 5 ms: a thread that returns from the disk or the network gets the GIL sooner.
    sys.setswitchinterval(_SWITCH_SECONDS)
    report_untested_versions(
        pynetdicom_private.LIBRARY,
        broker_connection.LIBRARY,
        kombu_private.LIBRARY,
        psycopg_private.LIBRARY,
    )
    if gap := pynetdicom_private.plain_path_gap():
        raise ConfigurationError(gap)
    stop = stop_event()
    allow_many_connections()
    store = Store.open(settings, receives=True)
    queue = Queue(settings)
    spool = open_spool(settings)
    callers = CallingAEs(
        settings, config_path(), load_settings, incident_reporter(store, config_path(), "receive")
    )
    callers.reload_on_sighup()
    intake = Intake(store, settings, queue.publish, callers)
    commitments = Commitments(settings, store)
    associations = AssociationCounts(store)
    reception = StorageService(
        settings, store, intake, commitments, callers=callers, ended=associations.add
    )
    refusals = Refusals(store)
    scp = StorageSCP(_scp_settings(settings), spool, reception, report=refusals.add)
    prepare_memory()
    _listen(scp, settings)
    probe = Probe(store, _beat_name(number), scp.port or scp.tls_port)
    reception.set_database_available(probe.beat_if_due(force=True))
    try:
        while not stop.wait(_POLL_SECONDS):
            if scp.has_stopped_listening:
                raise ReceiverNotListening(
                    "the receiver's port was closed by a fault: the receiver must restart"
                )
            callers.reload_if_changed()
            refusals.write()
            associations.write_if_due()
            refusal = reception.refusal
            reception.set_database_available(
                probe.beat_if_due(force=not reception.is_ready, refusal=refusal)
            )
    finally:
        # In this order: associations end, then their jobs are made, then the store is closed.
        log.info("receiver_stopping", seconds=settings.receiver.stop_seconds)
        scp.stop(settings.receiver.stop_seconds)
        reception.close()
        refusals.write()
        associations.write()
        _sign_off(store, _beat_name(number))
        queue.close()
        store.close()
        log.info("receiver_stopped")


def allow_many_connections() -> None:
    """Raise the limit of open files to the hard limit: each connection needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _beat_name(number: int = 1) -> str:
    """Return the name under which this receiver sends heartbeats."""
    part = "receive" if number == 1 else f"receive-{number}"
    return f"{part}@{socket.gethostname()}"


def open_spool(settings: Settings) -> Spool:
    """Return the spool, after removing the temporary files of interrupted receptions.

    Raises:
        ConfigurationError: The folder cannot be used.
    """
    try:
        spool = Spool(
            settings.spool_dir,
            max_object_bytes=settings.receiver.max_object_bytes,
            min_free_bytes=settings.receiver.min_free_bytes,
        )
        leftovers = spool.recover()
    except OSError as error:
        raise ConfigurationError(
            f"data_dir: the spool {settings.spool_dir} cannot be used: {error.strerror}"
        ) from None
    if leftovers:
        log.warning("leftovers_removed", files=leftovers)
    return spool


def _scp_settings(settings: Settings) -> ScpSettings:
    receiver = settings.receiver
    return ScpSettings(
        ae_title=receiver.ae_title,
        host=receiver.host,
        port=receiver.port,
        storage_classes=receiver.storage_classes,
        max_associations=receiver.max_associations,
        fast=receiver.fast,
        shared_port=receiver.processes > 1,
        tls=_tls_files(settings),
        tls_port=receiver.tls_port or 0,  # None: there are no `tls` files either
    )


def _tls_files(settings: Settings) -> TlsFiles | None:
    receiver = settings.receiver
    if receiver.tls_port is None or not (receiver.tls_certificate and receiver.tls_key):
        return None
    return TlsFiles(
        certificate=receiver.tls_certificate,
        key=receiver.tls_key,
        client_ca=receiver.tls_client_ca,
    )


def _listen(scp: StorageSCP, settings: Settings) -> None:
    receiver = settings.receiver
    try:
        scp.start()
    except OSError as error:
        raise ConfigurationError(_not_listening(settings, error)) from None
    if scp.port:
        log.info(
            "receiver_listening", ae_title=receiver.ae_title, host=receiver.host, port=scp.port
        )
    if scp.tls_port:
        log.info("receiver_listening_with_tls", host=receiver.host, port=scp.tls_port)
    if not receiver.open and not receiver.callers:
        log.warning(
            "no_calling_ae_may_send", reason="receiver.callers is empty and receiver.open is off"
        )


def _not_listening(settings: Settings, error: OSError) -> str:
    """Return why the receiver cannot listen: an unusable TLS file, or a port that cannot be bound."""
    of_a_file = isinstance(error, ssl.SSLError) or error.errno in {errno.ENOENT, errno.EACCES}
    if of_a_file and (fault := tls_fault(settings, "receiver.")):
        return fault
    if isinstance(error, ssl.SSLError):
        return f"receiver.tls_certificate, tls_key, tls_client_ca: cannot be used: {error.reason}"
    own = [each for each in endpoints(settings) if each.table == "receiver"]
    taken = [each for each in own if any(it.pid != os.getpid() for it in holders_of(each.port))]
    first, *_ = taken or own
    return (
        f"receiver.host, {first.name}: cannot listen on {first.host} port {first.port}: "
        f"{refusal(first.name, first.host, first.port, error)}"
    )


def _sign_off(store: Store, name: str) -> None:
    try:
        store.sign_off(name)
    except StoreError as error:
        log.warning("sign_off_failed", reason=type(error).__name__)
