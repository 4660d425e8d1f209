"""Live updates: one query of the store for all open pages, sent to each by Server-Sent Events.

A key identifies the view that a page shows. While pages are open, one task polls the store's version.
When it has changed, each view is rendered once and every page gets the parts that changed. Views are
also rendered every few seconds, because "no worker is alive" becomes true without a change of a row.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.web.render import NOTHING, Snapshot

POLL_SECONDS: Final = 0.3
RENDER_AT_LEAST_EVERY: Final = 3.0
# While rows change all the time, all views are rendered this often.
RENDER_AT_MOST_EVERY: Final = 1.0
MAX_STREAMS: Final = 64
# The stream of a client that takes no bytes for this long is closed.
_SEND_TIMEOUT: Final = 20.0
_PING_SECONDS: Final = 15
# While nothing changes, the login of a stream is checked this often.
_LOGIN_SECONDS: Final = 10.0
# Pause after a query that failed.
_PAUSE_SECONDS: Final = 1.0

log = get_logger(__name__)


@dataclass(eq=False)
class _View:
    render: Callable[[], Snapshot]
    watchers: set["_Watcher"] = field(default_factory=set)
    task: Task = field(default_factory=lambda: Task("live page", passed_on=(StoreError,)))


@dataclass(frozen=True, slots=True)
class LiveView:
    """What one page shows: the key of the view, equal for equal views, and what renders it."""

    key: str
    render: Callable[[], Snapshot]


async def _always() -> bool:
    return True


@dataclass(eq=False)
class _Watcher:
    # Set by any view of the same stream.
    woken: asyncio.Event
    # One slot: a slow client gets the newest snapshot, never a backlog.
    latest: Snapshot = NOTHING
    known: Snapshot = NOTHING

    def give(self, snapshot: Snapshot) -> None:
        self.latest = snapshot
        self.woken.set()

    def change(self) -> dict[str, object] | None:
        """Return what the client does not know yet, which it knows from now on; None for nothing."""
        change, known = self.latest.since(self.known), self.known
        self.known = self.latest
        return change if change["parts"] or self.latest.order != known.order else None


class Hub:
    """Holds the open streams of each view; `run` is its task, `close` ends every stream."""

    def __init__(self, version: Callable[[], object], *, max_streams: int = MAX_STREAMS) -> None:
        """Take the function that detects changes.

        Args:
            version: Cheap, called in a thread; equal results mean that nothing changed.
            max_streams: Further streams are refused with 503; their pages poll every few seconds.
        """
        self._version = version
        self._max_streams = max_streams
        self._views: dict[str, _View] = {}
        self._watched = asyncio.Event()
        self._streams = 0
        self._closed = False
        self._task = Task("live updates", passed_on=(StoreError,))
        self._seen: object = None
        self._rendered = 0.0

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams

    def close(self) -> None:
        """End every stream and refuse new ones."""
        self._closed = True
        self._watched.set()
        for view in self._views.values():
            for watcher in view.watchers:
                watcher.woken.set()

    def stream(
        self,
        key: str,
        render: Callable[[], Snapshot],
        is_valid: Callable[[], Awaitable[bool]] = _always,
    ) -> Response:
        """Return the event stream of view `key`, or 503 if there are too many or the hub is closed.

        Args:
            key: The view; equal for equal views.
            render: Renders it.
            is_valid: Whether the login of the stream is still in force; asked every few seconds.
        """
        return self.stream_of({"": LiveView(key, render)}, is_valid)

    def stream_of(
        self, views: Mapping[str, LiveView], is_valid: Callable[[], Awaitable[bool]] = _always
    ) -> Response:
        """Return one stream of several views; each event has the name of its view, if that is not ""."""
        if self._closed or self.streams >= self._max_streams:
            return JSONResponse(
                {"error": "Too many live pages are open."},
                status_code=503,
                headers={"Retry-After": "60"},
            )
        return EventSourceResponse(
            self._events(views, is_valid), ping=_PING_SECONDS, send_timeout=_SEND_TIMEOUT
        )

    @property
    def fault(self) -> str:
        """Why pages are not updated, a sentence that names no study, or ""."""
        tasks = [self._task, *(view.task for view in list(self._views.values()))]
        return next((task.fault for task in tasks if task.fault), "")

    async def run(self) -> None:
        """Query and render until closed; an error ends one round, never the task."""
        while not self._closed:
            await self._watched.wait()
            await asyncio.sleep(POLL_SECONDS)
            try:
                goes_on = await self._task.attempt_async(self._look)
            except StoreError as error:
                log.warning("live_update_failed", reason=str(error))
                goes_on = False
            if not goes_on:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _look(self) -> None:
        clock = asyncio.get_running_loop().time
        version = await run_in_threadpool(self._version)
        every = RENDER_AT_LEAST_EVERY if version == self._seen else RENDER_AT_MOST_EVERY
        if clock() - self._rendered >= every:
            self._seen = version
            await self._render_all()
            # From the end of a round: many views leave time for requests between two rounds.
            self._rendered = clock()

    async def _render_all(self) -> None:
        for view in list(self._views.values()):
            try:
                await view.task.attempt_async(partial(_render, view, view.watchers))
            except StoreError as error:
                # Only this view fails: its study may have been removed. The others are rendered.
                log.warning("live_update_failed", reason=str(error))

    async def _events(
        self, views: Mapping[str, LiveView], is_valid: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[ServerSentEvent]:
        # Entered here, not in `stream`: a response that is never iterated does not run `finally`.
        woken = asyncio.Event()
        watchers = {name: self._enter(view, woken) for name, view in views.items()}
        self._streams += 1
        try:
            for name, view in views.items():
                await self._give_first(view.key, watchers[name])
            checked = asyncio.get_running_loop().time()
            while await self._woken(woken):
                now = asyncio.get_running_loop().time()
                if now - checked >= _LOGIN_SECONDS:
                    checked = now
                    if not await is_valid():
                        return
                for name, watcher in watchers.items():
                    if (change := watcher.change()) is not None:
                        named = {"view": name, **change} if name else change
                        yield ServerSentEvent(json.dumps(named), event="parts", retry=2000)
        finally:
            self._streams -= 1
            for name, view in views.items():
                self._leave(view.key, watchers[name])

    async def _woken(self, woken: asyncio.Event) -> bool:
        """Return when a view was rendered, or after a few seconds; False once the hub is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOGIN_SECONDS):
                await woken.wait()
        woken.clear()
        return not self._closed

    async def _give_first(self, key: str, watcher: _Watcher) -> None:
        """Give a watcher its first snapshot at once; after an error it gets one in the next round."""
        view = self._views[key]
        with suppress(StoreError):
            await view.task.attempt_async(partial(_render, view, (watcher,)))

    def _enter(self, live: LiveView, woken: asyncio.Event) -> _Watcher:
        watcher = _Watcher(woken)
        if self._closed:
            watcher.woken.set()
        self._views.setdefault(live.key, _View(live.render)).watchers.add(watcher)
        self._watched.set()
        return watcher

    def _leave(self, key: str, watcher: _Watcher) -> None:
        view = self._views.get(key)
        if view is None:
            return
        view.watchers.discard(watcher)
        if not view.watchers:
            del self._views[key]
        if not self._views and not self._closed:
            self._watched.clear()


async def _render(view: _View, watchers: Collection[_Watcher]) -> None:
    snapshot = await run_in_threadpool(view.render)
    for watcher in tuple(watchers):
        watcher.give(snapshot)
