"""The routes of the queue."""

from typing import Final

from service.accounts import Role
from service.web.access.roles import EVERYONE, guarded
from service.web.live_routes import LIVE
from service.web.queue import batch, pages

_OPERATING: Final = frozenset({Role.ADMIN, Role.VIEWER})
_ACTING: Final = frozenset({Role.ADMIN})

QUEUE_ROUTES: Final = (
    guarded("/", pages.start, roles=EVERYONE),
    guarded("/queue", pages.queue, roles=_OPERATING),
    guarded("/live/queue.json", pages.queue_parts, access=LIVE),
    guarded(batch.BATCH_PATH, batch.confirm, roles=_ACTING),
    guarded(batch.BATCH_PATH, batch.run, roles=_ACTING, methods=("POST",)),
)
