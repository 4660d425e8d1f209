"""The routes of evaluations and of documents for the quality department."""

from typing import Final

from service.accounts import Role
from service.web.access.roles import guarded
from service.web.evaluations import pages

_ADMINS: Final = frozenset({Role.ADMIN})

EVALUATION_ROUTES: Final = (
    guarded("/evaluations", pages.evaluations_page, roles=_ADMINS),
    guarded("/evaluations/{evaluation}/report", pages.evaluation_report, roles=_ADMINS),
    guarded("/quality-documents/{folder}/{document}", pages.quality_document, roles=_ADMINS),
)
