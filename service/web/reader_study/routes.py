"""The routes of reader studies."""

from typing import Final

from service.accounts import Role
from service.web.access.roles import guarded
from service.web.reader_study import api, images, pages

_SEEING: Final = frozenset({Role.ADMIN, Role.RADIOLOGIST})
_READING: Final = frozenset({Role.RADIOLOGIST})
_ACTING: Final = frozenset({Role.ADMIN})
_PAGE: Final = "/reader-studies/{reader_study}"
_ITEM: Final = f"{_PAGE}/items/{{item}}"

READER_STUDY_ROUTES: Final = (
    guarded("/reader-studies", pages.list_page, roles=_SEEING),
    guarded(_PAGE, pages.study_page, roles=_SEEING),
    guarded(f"{_PAGE}/read", pages.reading_page, roles=_READING),
    guarded(f"{_PAGE}/close", pages.close, roles=_ACTING, methods=("POST",)),
    guarded(f"{_PAGE}/results.csv", pages.results_csv, roles=_ACTING),
    guarded(f"{_ITEM}/film/voi.json", images.description, roles=_READING),
    guarded(f"{_ITEM}/film/levels/{{level}}", images.level, roles=_READING),
    guarded(f"{_ITEM}/text", api.show_text, roles=_READING, methods=("POST",)),
    guarded(f"{_ITEM}/rating", api.rate, roles=_READING, methods=("POST",)),
    guarded(f"{_ITEM}/author", api.guess_author, roles=_READING, methods=("POST",)),
)
