"""The routes of the search for studies."""

from typing import Final

from service.web.access.roles import EVERYONE, guarded
from service.web.search import pages

SEARCH_ROUTES: Final = (
    guarded("/search", pages.search_page, roles=EVERYONE),
    guarded("/studies/{study_uid}/similar", pages.similar_page, roles=EVERYONE),
)
