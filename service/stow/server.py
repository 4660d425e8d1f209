"""`wetread receive-web`: the STOW-RS endpoint as a process of its own.

It is not part of the web process: slow uploads must not delay the pages, and the two are used by
different people from different networks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dicom.spool.ingest import Ingest
from service.errors import ConfigurationError, StoreError
from service.log import get_logger, report_untested_versions
from service.monitoring.background import Task
from service.monitoring.heartbeat import Heartbeat
from service.queue import kombu_private
from service.queue.job_queue import Queue
from service.receiver.association_counts import AssociationCounts
from service.receiver.calling_aes import CallingAEs, incident_reporter
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.receiver import allow_many_connections, open_spool
from service.receiver.refusals import Refusals
from service.receiver.storage_service import StorageService
from service.records import ProcessRole, StatusReport
from service.settings.config import Settings, config_path, load_settings
from service.settings.setting_rules import is_loopback
from service.store import Store
from service.stow.endpoint import StowContext, store_instances
from service.system import broker_connection, psycopg_private, uvicorn_private
from service.system.gc_tuning import prepare_memory
from service.web.access.bearer import TokenAuthorizer
from service.web.failures import HANDLERS, ErrorMiddleware
from service.web.health import healthz
from service.web.readiness import spool_fault
from service.web.server import (
    QuietServer,
    address_of,
    bind,
    published_address,
    run,
    stop_at_signals,
    tls_context,
)
from service.web.timeouts import HTTP_PROTOCOL, LingeringClose

ROLE: Final = ProcessRole.STOW
_POLL_SECONDS: Final = 0.5
_PING_EVERY: Final = 5.0

log = get_logger(__name__)


def make_stow_context(
    settings: Settings, store: Store, queue: Queue, callers: CallingAEs
) -> StowContext:
    """Return what the requests share; nothing runs yet."""
    spool = open_spool(settings)
    intake = Intake(store, settings, queue.publish, callers)
    associations = AssociationCounts(store)
    reception = StorageService(
        settings,
        store,
        intake,
        Commitments(settings, store),
        callers=callers,
        ended=associations.add,
    )
    return StowContext(
        settings=settings,
        spool=spool,
        keeper=Ingest(spool, reception.record),
        reception=reception,
        authorizer=TokenAuthorizer(store),
        refusals=Refusals(store),
        associations=associations,
    )


def make_app(context: StowContext, store: Store, callers: CallingAEs) -> Starlette:
    """Return the application; while it runs it reloads the calling AEs and checks the database."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(_watch(context, store, callers))
        try:
            yield
        finally:
            watching.cancel()
            await run_in_threadpool(context.associations.write)

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(LingeringClose), Middleware(ErrorMiddleware)],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.stow_context = context
    return app


async def readyz(request: Request) -> JSONResponse:
    """Answer 200 if Instances are accepted now, else 503 with the reason."""
    context: StowContext = request.app.state.stow_context
    fault = await run_in_threadpool(
        lambda: context.refusal() or context.watch_fault or spool_fault(context.settings)
    )
    body = {"status": "not ready" if fault else "ready", "fault": fault}
    return JSONResponse(body, 503 if fault else 200)


ROUTES: Final = [
    Route("/dicom-web/studies", store_instances, methods=["POST"]),
    Route("/dicom-web/studies/{study_uid}", store_instances, methods=["POST"]),
    Route("/healthz", healthz),
    Route("/readyz", readyz),
]


async def _watch(context: StowContext, store: Store, callers: CallingAEs) -> None:
    """Reload changed calling AEs, and check whether the database answers."""
    loop = asyncio.get_running_loop()
    due = 0.0
    reload, ping = Task("reload the callers"), Task("watch the database")

    async def answers() -> None:
        context.reception.set_database_available(await run_in_threadpool(_answers, store))

    while True:
        await reload.attempt_async(partial(run_in_threadpool, callers.reload_if_changed))
        await run_in_threadpool(context.associations.write_if_due)
        # While the database is away it is checked every time, so that Instances are accepted soon.
        if loop.time() >= due or not context.reception.is_ready:
            due = loop.time() + _PING_EVERY
            await ping.attempt_async(answers)
        context.watch_fault = reload.fault or ping.fault
        await asyncio.sleep(_POLL_SECONDS)


def _answers(store: Store) -> bool:
    try:
        store.ping()
    except StoreError:
        return False
    return True


class StowServer(QuietServer):
    """Lets running requests finish after a stop, within receiver.stop_seconds, like associations."""

    def __init__(self, app: Starlette, settings: Settings) -> None:
        """Take the application.

        Raises:
            ConfigurationError: The TLS files cannot be used.
        """
        tls = tls_context(settings, settings.stow, "stow")
        super().__init__(
            uvicorn.Config(
                app,
                http=HTTP_PROTOCOL,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                forwarded_allow_ips=["127.0.0.1", "::1"],
                timeout_keep_alive=15,
                timeout_graceful_shutdown=int(settings.receiver.stop_seconds),
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; the address in force is written to `run/receive-web.json`.

    Raises:
        StoreError: The database cannot be used at the start.
        ConfigurationError: stow.port is not set or cannot be listened on, or a TLS file cannot be used.
    """
    stow = settings.stow
    if stow.port is None:
        raise ConfigurationError("stow.port: is required for the STOW-RS server")
    report_untested_versions(
        uvicorn_private.LIBRARY,
        broker_connection.LIBRARY,
        kombu_private.LIBRARY,
        psycopg_private.LIBRARY,
    )
    allow_many_connections()
    scheme = "https" if stow.tls_certificate else "http"
    if scheme == "http" and not is_loopback(stow.host):
        log.warning(
            "tokens_sent_unencrypted",
            reason="stow.host is no loopback address, and there is no TLS",
        )
    with (
        closing(bind(stow.host, stow.port, section="stow")) as listener,
        closing(Store.open(settings, receives=True)) as store,
        closing(Queue(settings)) as queue,
    ):
        callers = CallingAEs(
            settings, config_path(), load_settings, incident_reporter(store, config_path(), ROLE)
        )
        callers.reload_on_sighup()
        context = make_stow_context(settings, store, queue, callers)
        server = StowServer(make_app(context, store, callers), settings)
        url = address_of(listener, scheme)
        beats = Heartbeat(store, (ROLE,), StatusReport(url))
        prepare_memory()
        stop_at_signals(server)
        with (
            published_address(settings.run_dir, url, ROLE),
            beats.beating(),
            closing(context.reception),
        ):
            run(server, listener)
