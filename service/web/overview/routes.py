"""The routes of the overview."""

from typing import Final

from service.accounts import Role
from service.web.access.roles import Access, guarded
from service.web.live_routes import live_route
from service.web.overview import pages

_ADMINS: Final = frozenset({Role.ADMIN})
_LIVE: Final = Access(roles=_ADMINS, counts_as_use=False)

OVERVIEW_LIVE: Final = live_route("/live/overview", pages.overview_live, _LIVE)
OVERVIEW_ROUTES: Final = (
    guarded("/admin", pages.overview_page, roles=_ADMINS),
    guarded("/live/overview.json", pages.overview_parts, access=_LIVE),
    guarded(
        "/admin/unaccounted/schedule",
        pages.schedule_unaccounted,
        roles=_ADMINS,
        methods=("POST",),
    ),
)
