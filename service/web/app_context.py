"""The objects that all request handlers share, created when the process starts."""

from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry
from starlette.requests import HTTPConnection

from service.monitoring.decision_figures import DecisionFigureCache
from service.monitoring.overview_figures import FigureCache
from service.search.similar import StudySearch
from service.settings.config import Settings
from service.store import Store
from service.web.access.known_sessions import KnownSessions
from service.web.access.recent_views import RecentViews
from service.web.images.endpoint import ImageCache
from service.web.images.levels import LevelsStore
from service.web.live import Hub
from service.web.readiness import Readiness
from service.web.status.queue_overview import OverviewCache
from service.web.status.system_status import StatusObserver


class LogoutProvider(Protocol):
    """What a logout needs of an OpenID provider."""

    async def logout_url(self, id_token: str) -> str:
        """Return where a person logs out at the provider too; "" for nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppContext:
    """The shared objects of the web process."""

    settings: Settings
    store: Store
    observer: StatusObserver
    queue: OverviewCache
    hub: Hub
    images: ImageCache
    levels: LevelsStore
    sessions: KnownSessions
    views: RecentViews
    provider: LogoutProvider | None = None
    registry: CollectorRegistry
    figures: DecisionFigureCache
    search: StudySearch
    readiness: Readiness
    overview: FigureCache


def app_context_of(request: HTTPConnection) -> AppContext:
    """Return the context of the application that handles this request."""
    parts: AppContext = request.app.state.app_context
    return parts
