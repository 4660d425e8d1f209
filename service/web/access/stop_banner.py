"""Whether drafting is stopped, for the banner of every page."""

import time
from contextvars import ContextVar
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import StoreError
from service.log import get_logger
from service.records.models import DraftingStop
from service.store import Store

# Templates show it; threads of a handler inherit it.
SHOWN_STOP: Final[ContextVar[DraftingStop | None]] = ContextVar("shown_stop", default=None)
_FRESH_SECONDS: Final = 1.0
_WITHOUT_BANNER: Final = ("/static/", "/api/", "/live", "/metrics", "/healthz", "/readyz")

log = get_logger(__name__)


class StopBanner:
    """ASGI middleware that looks once a second, while pages are requested, whether drafting is stopped.

    If the database does not answer, pages show what was known last.
    """

    def __init__(self, app: ASGIApp, *, store: Store) -> None:
        """Wrap `app`."""
        self._app = app
        self._store = store
        self._known: DraftingStop | None = None
        self._looked = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the stop for the pages of this request."""
        if scope["type"] == "http" and not scope["path"].startswith(_WITHOUT_BANNER):
            SHOWN_STOP.set(await self._stop())
        await self._app(scope, receive, send)
        if scope["type"] == "http" and scope["method"] == "POST":
            self._looked = float("-inf")  # the request may have stopped or started drafting

    async def _stop(self) -> DraftingStop | None:
        if time.monotonic() - self._looked >= _FRESH_SECONDS:
            try:
                self._known = await run_in_threadpool(self._store.drafting_stop)
            except StoreError as error:
                log.debug("not_looked", reason=str(error))
            self._looked = time.monotonic()
        return self._known
