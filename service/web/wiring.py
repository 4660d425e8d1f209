"""What the handlers share: made once when the process starts."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from starlette.requests import HTTPConnection

from service.config import Settings
from service.store import Store
from service.web.auth import FormTokens
from service.web.film import FilmCache
from service.web.live import Hub
from service.web.readiness import Readiness
from service.web.situation import Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The parts of the web process."""

    settings: Settings
    store: Store
    observer: Observer
    hub: Hub
    films: FilmCache
    tokens: FormTokens
    registry: CollectorRegistry
    readiness: Readiness


def wiring(request: HTTPConnection) -> Wiring:
    """Return the parts that belong to the application that was asked."""
    parts: Wiring = request.app.state.wiring
    return parts
