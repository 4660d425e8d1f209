"""The web application and its process: `wetread web`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from service.monitoring.heartbeat import Heartbeat
from service.monitoring.library_versions import report_untested_versions
from service.queue.names import reading_queues
from service.records import Said
from service.settings.config import Settings
from service.store import Store
from service.system import broker_connection, psycopg_private, uvicorn_private
from service.web import again, api, destination_test, pages
from service.web.access.auth import FormTokens, Guard
from service.web.access.bearer import TokenAuthorizer
from service.web.app_context import AppContext
from service.web.body_limit import BodyLimit
from service.web.failures import HANDLERS, ErrorMiddleware
from service.web.health import healthz, readyz
from service.web.images.endpoint import ImageCache, make_renderer
from service.web.job_actions import ACTIONS
from service.web.live import MAX_STREAMS, Hub
from service.web.metrics import make_registry, metrics
from service.web.readiness import FRESH_SECONDS, Readiness, broker_fault, writing_fault
from service.web.render import STATIC_DIR
from service.web.review.failures import REVIEW_HANDLERS
from service.web.review.routes import REVIEW_ROUTES
from service.web.server import Server, address_of, listen, published_address, run, stop_at_signals
from service.web.status.system_status import StatusObserver
from service.web.timeouts import LingeringClose

# Limit of the wait for a busy database: pages must answer sooner than processes that write.
_BUSY_SECONDS: Final = 5.0


def make_app_context(
    settings: Settings,
    store: Store,
    *,
    max_streams: int = MAX_STREAMS,
    fresh_seconds: float = FRESH_SECONDS,
) -> AppContext:
    """Return the shared objects of the web process; nothing is started."""
    return AppContext(
        settings=settings,
        store=store,
        observer=StatusObserver(
            store,
            lambda: broker_fault(settings),
            reading_queues(settings),
            lambda: writing_fault(store),
            [each.name for each in settings.destinations],
        ),
        hub=Hub(store.version, max_streams=max_streams),
        films=ImageCache(partial(make_renderer, settings)),
        tokens=FormTokens(),
        registry=make_registry(store, settings),
        readiness=Readiness(store, settings, fresh_seconds=fresh_seconds),
    )


def make_app(here: AppContext) -> Starlette:
    """Return the application with its routes, error handlers and middleware."""
    app = Starlette(
        routes=ROUTES,
        middleware=[
            # Outermost: a response that is sent before the body was read must reach the client.
            Middleware(LingeringClose),
            Middleware(Guard, settings=here.settings.web, authorizer=TokenAuthorizer(here.store)),
            Middleware(ErrorMiddleware),
            Middleware(BodyLimit),
        ],
        exception_handlers={**HANDLERS, **REVIEW_HANDLERS},
        lifespan=_lifespan,
    )
    app.state.app_context = here
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    here: AppContext = app.state.app_context
    following = asyncio.create_task(here.hub.run())
    try:
        yield
    finally:
        here.hub.close()
        here.films.close()
        following.cancel()


ROUTES: Final = [
    Route("/", pages.queue),
    Route("/live/queue", pages.queue_live),
    Route("/live/queue.json", pages.queue_parts),
    Route("/live/studies/{study_uid}.json", pages.study_parts),
    Route("/live/studies/{study_uid}", pages.study_live),
    Route("/studies/{study_uid}", pages.study),
    Route("/studies/{study_uid}/films/{film_uid}.png", pages.study_film),
    Route("/jobs/again", again.again_page, methods=["POST"]),
    Route("/destinations/{name}/test", destination_test.test_page, methods=["POST"]),
    Route("/jobs/{job_id}", pages.job_page),
    Route("/jobs/{job_id}/film.png", pages.job_film),
    *[
        Route(f"/jobs/{{job_id}}/{word}", pages.act_page(word), methods=["POST"])
        for word in ACTIONS
    ],
    Route("/api/jobs", api.jobs),
    *[
        Route(f"/api/jobs/{word}", again.again_json(word), methods=["POST"])
        for word in again.ACTIONS
    ],
    Route("/api/jobs/{job_id}", api.job),
    *[
        Route(f"/api/jobs/{{job_id}}/{word}", api.act_json(word), methods=["POST"])
        for word in ACTIONS
    ],
    Route("/api/studies/{study_uid}", api.study),
    *REVIEW_ROUTES,
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
    Mount("/static", StaticFiles(directory=STATIC_DIR)),
]


def serve(settings: Settings) -> None:
    """Serve the pages until SIGTERM or SIGINT.

    A stop ends every stream, cancels requests that still run after 1 second, and gives these at most
    5 seconds to end. The address in force is written to `run/web.json` in the data folder. The pages
    are served without a database too: they show the fault.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """
    report_untested_versions(
        uvicorn_private.LIBRARY, broker_connection.LIBRARY, psycopg_private.LIBRARY
    )
    with closing(listen(settings)) as listener:
        url = address_of(listener)
        busy = min(_BUSY_SECONDS, settings.database.busy_seconds)
        store = Store(settings.database_url, busy_seconds=busy)
        here = make_app_context(settings, store)
        beats = Heartbeat(store, ("web",), Said(url))
        server = Server(make_app(here), here.hub)
        stop_at_signals(server)
        with closing(store), published_address(settings.run_dir, url), beats.beating():
            run(server, listener)
