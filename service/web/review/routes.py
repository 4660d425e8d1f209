"""The routes of reviews and decisions."""

from typing import Final

from service.accounts import Role
from service.tokens import Scope
from service.web.access.roles import EVERYONE, guarded
from service.web.review import api

_READERS: Final = frozenset({Role.RADIOLOGIST})
# The decisions of all persons; an admin operates the service and decides nothing.
_DECISIONS: Final = frozenset({Role.RADIOLOGIST, Role.ADMIN})

REVIEW_ROUTES: Final = (
    guarded("/api/studies/{study_uid}/review", api.study_review, roles=EVERYONE),
    guarded("/api/jobs/{job_id}/review", api.review, roles=EVERYONE),
    guarded("/api/jobs/{job_id}/review", api.save_review, roles=_READERS, methods=("PUT",)),
    guarded("/api/jobs/{job_id}/open", api.note_open, roles=_READERS, methods=("POST",)),
    guarded(
        "/api/jobs/{job_id}/decisions", api.job_decisions, roles=EVERYONE, scope=Scope.DECISIONS
    ),
    guarded("/api/jobs/{job_id}/decisions", api.decide, roles=_READERS, methods=("POST",)),
    guarded("/api/decisions", api.decisions, roles=_DECISIONS, scope=Scope.DECISIONS),
    guarded("/api/decisions/figures", api.figures, roles=_DECISIONS, scope=Scope.DECISIONS),
    guarded("/api/decisions/{decision_id}", api.decision, roles=EVERYONE, scope=Scope.DECISIONS),
    guarded("/api/decisions/{decision_id}/undo", api.undo, roles=_READERS, methods=("POST",)),
    guarded("/api/decisions/{decision_id}/send", api.send_again, roles=_READERS, methods=("POST",)),
    guarded("/api/notices", api.notices, roles=_READERS),
    guarded("/api/notices/{notice_id}/seen", api.notice_seen, roles=_READERS, methods=("POST",)),
)
