"""Compares archives on a schedule, each in its own thread, so that a silent one delays no other."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Final

from dicom.errors import DestinationError, DicomError
from service.errors import ConfigurationError, StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.monitoring.heartbeat import Heartbeat
from service.queue.job_queue import Queue
from service.receiver.calling_aes import CallingAEs
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.receiver import open_spool
from service.receiver.storage_service import StorageService
from service.reconcile.fetch import Fetcher
from service.reconcile.reconciliation import Reconciler
from service.records import ProcessRole
from service.settings.config import Settings, config_path, load_settings
from service.settings.destination_factory import archive
from service.settings.keys.reconcile import Reconcile
from service.store import Store
from service.system.signals import stop_event

ROLE: Final = ProcessRole.RECONCILE
_POLL_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 30.0

log = get_logger(__name__)


class ReconcileContext:
    """Makes the Reconcilers of one process from shared settings, database and spool."""

    def __init__(self, settings: Settings, store: Store, reception: StorageService | None) -> None:
        """Take the settings, the database, and the service that stores fetched Instances, or None."""
        self._settings = settings
        self._store = store
        self._reception = reception
        self._spool = open_spool(settings) if reception else None

    def reconciler(
        self,
        table: Reconcile,
        *,
        fetches: bool,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> Reconciler:
        """Return the Reconciler for the archive of `table`; it fetches only with a storage service."""
        fetcher = None
        if fetches and self._reception and self._spool:
            fetcher = Fetcher(self._settings, self._spool, self._reception, table.calling_ae)
        compared = archive(table, self._settings)
        return Reconciler(
            self._store, self._settings, table, compared, fetcher, is_stopping=is_stopping
        )

    def is_database_available(self) -> bool:
        """Return whether the database answers; if so, the storage service takes Instances again."""
        try:
            self._store.ping()
        except StoreError as error:
            log.warning("store_unavailable", reason=str(error))
            return False
        if self._reception is not None:
            self._reception.set_database_available(True)
        return True


@contextmanager
def open_context(
    settings: Settings, *, fetches: bool, callers: CallingAEs | None = None
) -> Iterator[tuple[Store, ReconcileContext]]:
    """Yield the database and the context; on exit, make the jobs of what was fetched.

    Raises:
        StoreError: The database cannot be used.
        ConfigurationError: The spool or the broker's settings cannot be used.
    """
    in_force = callers or CallingAEs(settings, config_path(), load_settings)
    with closing(Store.open(settings)) as store, ExitStack() as stack:
        reception = None
        if fetches:
            queue = stack.enter_context(closing(Queue(settings)))
            intake = Intake(store, settings, queue.publish, in_force)
            commitments = Commitments(settings, store)
            reception = StorageService(settings, store, intake, commitments, callers=in_force)
            stack.enter_context(closing(reception))
        yield store, ReconcileContext(settings, store, reception)


def serve(settings: Settings) -> None:
    """Compare every configured archive on its schedule until SIGTERM or SIGINT.

    Raises:
        StoreError: The database cannot be used at the start.
        ConfigurationError: No archive is configured, or the spool cannot be used.
    """
    if not settings.reconcile:
        raise ConfigurationError("reconcile: no table [[reconcile]] names an archive to compare")
    callers = CallingAEs(settings, config_path(), load_settings)
    stop = stop_event()
    callers.reload_on_sighup()
    fetches = any(each.fetch for each in settings.reconcile)
    with (
        open_context(settings, fetches=fetches, callers=callers) as (store, context),
        Heartbeat(store, [ROLE]).beating(),
    ):
        threads = [_started(context, table, stop) for table in settings.reconcile]
        log.info("reconcile_started", archives=[each.name for each in settings.reconcile])
        reload = Task("reload the callers")
        while not stop.wait(_POLL_SECONDS):
            reload.attempt(callers.reload_if_changed)
        for thread in threads:
            thread.join(_STOP_SECONDS)
    log.info("reconcile_stopped")


def _started(
    context: ReconcileContext, table: Reconcile, stop: threading.Event
) -> threading.Thread:
    reconciler = context.reconciler(table, fetches=table.fetch, is_stopping=stop.is_set)

    task = Task(f"compare {table.name}")

    def run() -> None:
        while True:
            # An unforeseen error ends one look, not the thread.
            task.attempt(partial(_compare, context, reconciler, table))
            if stop.wait(table.every_seconds):
                return

    thread = threading.Thread(target=run, name=f"reconcile-{table.name}", daemon=True)
    thread.start()
    return thread


def _compare(context: ReconcileContext, reconciler: Reconciler, table: Reconcile) -> None:
    """Compare once; errors of archive, database and disk are logged, and the next look tries again."""
    if not context.is_database_available():
        return
    try:
        reconciler.compare()
    except DestinationError:
        pass  # `Reconciler.compare` has recorded it
    except StoreError as error:
        log.warning("store_unavailable", reason=str(error))
    except (OSError, DicomError) as error:
        log.warning("archive_not_compared", archive=table.name, reason=str(error))
