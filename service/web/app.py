"""The web application and its process: `wetread web`."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from service.accounts import Role
from service.errors import StoreError
from service.log import report_untested_versions
from service.monitoring.background import Task
from service.monitoring.decision_figures import DecisionFigureCache
from service.monitoring.heartbeat import Heartbeat
from service.monitoring.overview_figures import FigureCache
from service.queue.names import reading_queues
from service.records import ProcessRole, StatusReport
from service.search.similar import StudySearch
from service.settings.config import Settings
from service.store import Store
from service.system import broker_connection, psycopg_private, uvicorn_private
from service.tokens import Scope
from service.web import again, api, pages
from service.web.access.bearer import TokenAuthorizer
from service.web.access.known_sessions import KnownSessions
from service.web.access.recent_views import RecentViews
from service.web.access.roles import (
    EVERYONE,
    OPEN,
    PROBE,
    Access,
    check_declared,
    declare,
    guarded,
)
from service.web.access.stop_banner import StopBanner
from service.web.accounts.routes import ACCOUNT_ROUTES
from service.web.alerting.routes import ALERT_ROUTES, ALERTS_LIVE
from service.web.app_context import AppContext
from service.web.audit_page import audit_csv, audit_page
from service.web.body_limit import BodyLimit
from service.web.evaluations.routes import EVALUATION_ROUTES
from service.web.failures import HANDLERS, ErrorMiddleware
from service.web.health import healthz, readyz
from service.web.images.endpoint import ImageCache, make_renderer
from service.web.images.levels import LevelsStore
from service.web.job_actions import ACTIONS, ROLES
from service.web.live import MAX_STREAMS, Hub
from service.web.live_routes import LIVE, all_live, live_route
from service.web.login import pages as login
from service.web.login.address import AddressFilter
from service.web.login.guard import Guard
from service.web.login.oidc import Provider
from service.web.metrics import make_registry, metrics
from service.web.models.routes import MODEL_ROUTES
from service.web.monitor.routes import MONITOR_ROUTES
from service.web.network.routes import NETWORK_ROUTES
from service.web.openapi.mount import WARM_SECONDS, ApiMount, mounted, openapi_json
from service.web.overview.routes import OVERVIEW_LIVE, OVERVIEW_ROUTES
from service.web.queue.routes import QUEUE_LIVE, QUEUE_ROUTES
from service.web.reader_study.failures import READER_STUDY_HANDLERS
from service.web.reader_study.routes import READER_STUDY_ROUTES
from service.web.readiness import FRESH_SECONDS, Readiness, broker_fault, writing_fault
from service.web.render import STATIC_DIR
from service.web.review.failures import REVIEW_HANDLERS
from service.web.review.live_review import review_live, review_parts
from service.web.review.questions_api import questions_live, questions_parts
from service.web.review.routes import REVIEW_ROUTES
from service.web.search.routes import SEARCH_ROUTES
from service.web.server import Server, address_of, listen, published_address, run, stop_at_signals
from service.web.status.queue_overview import SECONDS as SHARED_SECONDS
from service.web.status.queue_overview import OverviewCache
from service.web.status.system_status import StatusObserver
from service.web.timeouts import LingeringClose
from service.web.viewer_routes import VIEWER_ROUTES

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
    images = ImageCache(partial(make_renderer, settings))
    figures = DecisionFigureCache(store)
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
        queue=OverviewCache(store, settings, seconds=min(SHARED_SECONDS, fresh_seconds)),
        hub=Hub(store.version, max_streams=max_streams),
        images=images,
        levels=LevelsStore(images.renderer, min_free_bytes=settings.receiver.min_free_bytes),
        sessions=KnownSessions(store, settings.web),
        views=RecentViews(),
        provider=Provider(settings) if settings.oidc.issuer else None,
        registry=make_registry(store, settings, figures),
        figures=figures,
        search=StudySearch(store, settings),
        readiness=Readiness(store, settings, fresh_seconds=fresh_seconds),
        overview=FigureCache(store, longest_seconds=15 * fresh_seconds),
    )


def make_app(here: AppContext) -> Starlette:
    """Return the application with its routes, error handlers and middleware.

    Raises:
        UndeclaredRoute: A route does not declare who may use it.
    """
    handlers = {**HANDLERS, **REVIEW_HANDLERS, **READER_STUDY_HANDLERS}
    declared = [*ROUTES, *(here.provider.routes() if isinstance(here.provider, Provider) else ())]
    routes, api_mount = mounted(declared, here, handlers)
    check_declared(routes)
    app = Starlette(
        routes=routes,
        middleware=[
            # Outermost: a response that is sent before the body was read must reach the client.
            Middleware(LingeringClose),
            Middleware(StopBanner, store=here.store),
            Middleware(
                Guard,
                settings=here.settings.web,
                authorizer=TokenAuthorizer(here.store),
                sessions=here.sessions,
                routes=routes,
            ),
            Middleware(ErrorMiddleware),
            Middleware(AddressFilter),
            Middleware(BodyLimit),
        ],
        exception_handlers=handlers,
        lifespan=_lifespan,
    )
    app.state.app_context = here
    app.state.api = api_mount
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    here: AppContext = app.state.app_context
    following = asyncio.create_task(here.hub.run())
    # The figures read all decisions once: now, so that no page waits for it.
    threading.Thread(target=_load_figures, args=(here,), name="figures", daemon=True).start()
    loading = asyncio.get_running_loop().call_later(WARM_SECONDS, _load_api, app.state.api)
    try:
        yield
    finally:
        loading.cancel()
        here.hub.close()
        here.images.close()
        here.levels.close()
        following.cancel()


def _load_api(api_mount: ApiMount) -> None:
    threading.Thread(target=api_mount.load, name="load the API", daemon=True).start()


def _load_figures(here: AppContext) -> None:
    with suppress(StoreError):  # the first question for figures tries again
        Task("load the figures of decisions", passed_on=(StoreError,)).attempt(here.figures.counts)


_ACTING: Final = frozenset({Role.ADMIN})
_PROBE_IN_FULL: Final = Access(
    is_open=True, reads_login=True, over_plain_http=True, scope=Scope.READ, counts_as_use=False
)
_METRICS: Final = Access(
    roles=frozenset({Role.ADMIN}), scope=Scope.METRICS, over_plain_http=True, counts_as_use=False
)


def _static() -> Mount:
    mount = Mount("/static", StaticFiles(directory=STATIC_DIR))
    declare(mount, OPEN)
    return mount


LIVE_ROUTES: Final = (
    QUEUE_LIVE,
    live_route("/live/studies/{study_uid}", pages.study_live),
    live_route("/live/questions/{job_id}", questions_live),
    live_route("/live/reviews/{job_id}", review_live),
    OVERVIEW_LIVE,
    ALERTS_LIVE,
)
ROUTES: Final = [
    *QUEUE_ROUTES,
    guarded("/login", login.login_page, access=OPEN),
    guarded("/login", login.log_in, access=OPEN, methods=("POST",)),
    guarded("/logout", login.log_out, access=OPEN, methods=("POST",)),
    guarded("/setup/{link}", login.setup_page, access=OPEN),
    guarded("/setup/{link}", login.set_up, access=OPEN, methods=("POST",)),
    guarded("/live/studies/{study_uid}.json", pages.study_parts, access=LIVE),
    guarded("/live/questions/{job_id}.json", questions_parts, access=LIVE),
    guarded("/live/reviews/{job_id}.json", review_parts, access=LIVE),
    *LIVE_ROUTES,
    all_live(LIVE_ROUTES),
    guarded("/studies/{study_uid}", pages.study, roles=EVERYONE),
    guarded("/studies/{study_uid}/films/{film_uid}.png", pages.study_image, roles=EVERYONE),
    *VIEWER_ROUTES,
    guarded("/jobs/{job_id}", pages.job_page, roles=EVERYONE),
    guarded("/jobs/{job_id}/film.png", pages.job_image, roles=EVERYONE),
    *[
        guarded(
            f"/jobs/{{job_id}}/{word}",
            pages.act_page(word),
            roles=ROLES[word],
            methods=("POST",),
        )
        for word in ACTIONS
    ],
    guarded("/api/openapi.json", openapi_json, roles=EVERYONE, scope=Scope.READ),
    guarded("/api/me", api.me, roles=EVERYONE),
    guarded("/api/jobs", api.jobs, roles=EVERYONE, scope=Scope.READ),
    *[
        guarded(
            f"/api/jobs/{word}",
            again.again_json(word),
            roles=_ACTING,
            scope=Scope.ADMIN,
            methods=("POST",),
        )
        for word in again.ACTIONS
    ],
    guarded("/api/jobs/{job_id}", api.job, roles=EVERYONE, scope=Scope.READ),
    *[
        guarded(
            f"/api/jobs/{{job_id}}/{word}",
            api.act_json(word),
            roles=ROLES[word],
            scope=Scope.ADMIN,
            methods=("POST",),
        )
        for word in ACTIONS
    ],
    guarded("/api/studies/{study_uid}", api.study, roles=EVERYONE, scope=Scope.READ),
    *REVIEW_ROUTES,
    *MONITOR_ROUTES,
    *EVALUATION_ROUTES,
    *READER_STUDY_ROUTES,
    *MODEL_ROUTES,
    *NETWORK_ROUTES,
    *SEARCH_ROUTES,
    *OVERVIEW_ROUTES,
    *ALERT_ROUTES,
    *ACCOUNT_ROUTES,
    guarded("/admin/audit", audit_page, roles=_ACTING),
    guarded("/admin/audit.csv", audit_csv, roles=_ACTING),
    guarded("/healthz", healthz, access=PROBE),
    guarded("/readyz", readyz, access=_PROBE_IN_FULL),
    guarded("/metrics", metrics, access=_METRICS),
    _static(),
]


def serve(settings: Settings) -> None:
    """Serve the pages until SIGTERM or SIGINT.

    A stop ends every stream, cancels requests that still run after 1 second, and gives these at most
    5 seconds to end. The address in force is written to `run/web.json` in the data folder. The pages
    are served without a database too: they show the fault.

    Raises:
        ConfigurationError: The address cannot be listened on, or a TLS file cannot be used.
    """
    report_untested_versions(
        uvicorn_private.LIBRARY, broker_connection.LIBRARY, psycopg_private.LIBRARY
    )
    with closing(listen(settings)) as listener:
        url = address_of(listener, "https" if settings.web.tls_certificate else "http")
        busy = min(_BUSY_SECONDS, settings.database.busy_seconds)
        store = Store(settings.database_url, busy_seconds=busy)
        here = make_app_context(settings, store)
        beats = Heartbeat(store, (ProcessRole.WEB,), StatusReport(url))
        server = Server(make_app(here), here.hub, settings)
        stop_at_signals(server)
        with closing(store), published_address(settings.run_dir, url), beats.beating():
            run(server, listener)
