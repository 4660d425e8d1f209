"""The routes of the queue."""

from typing import Final

from service.accounts import Role
from service.web.access.roles import EVERYONE, Access, guarded
from service.web.live_routes import live_route
from service.web.queue import again, batch, pages

_OPERATING: Final = frozenset({Role.ADMIN, Role.VIEWER})
_ACTING: Final = frozenset({Role.ADMIN})
_LIVE: Final = Access(roles=_OPERATING, counts_as_use=False)

QUEUE_LIVE: Final = live_route("/live/queue", pages.queue_live, _LIVE)

QUEUE_ROUTES: Final = (
    guarded("/", pages.start, roles=EVERYONE),
    guarded("/queue", pages.queue, roles=_OPERATING),
    guarded("/live/queue.json", pages.queue_parts, access=_LIVE),
    guarded(batch.BATCH_PATH, batch.confirm, roles=_ACTING),
    guarded(batch.BATCH_PATH, batch.run, roles=_ACTING, methods=("POST",)),
    guarded(again.AGAIN_PATH, again.confirm, roles=_ACTING),
    guarded(again.AGAIN_PATH, again.run, roles=_ACTING, methods=("POST",)),
)
