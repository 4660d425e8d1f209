"""The routes of reviews and decisions."""

from typing import Final

from service.accounts import Role
from service.tokens import Scope
from service.web.access.roles import EVERYONE, Access, guarded
from service.web.review import api, by_link, pages, questions_api

_READERS: Final = frozenset({Role.RADIOLOGIST})
# The decisions of all persons; an admin operates the service and decides nothing.
_DECISIONS: Final = frozenset({Role.RADIOLOGIST, Role.ADMIN})

REVIEW_ROUTES: Final = (
    guarded("/api/studies/{study_uid}/review", api.study_review, roles=EVERYONE),
    guarded("/api/jobs/{job_id}/review", api.review, roles=EVERYONE),
    guarded("/api/jobs/{job_id}/review", api.save_review, roles=_READERS, methods=("PUT",)),
    # The open page sends it by itself: it does not prolong a login.
    guarded(
        "/api/jobs/{job_id}/open",
        api.note_open,
        access=Access(roles=_READERS, counts_as_use=False),
        methods=("POST",),
    ),
    guarded(
        "/api/jobs/{job_id}/decisions", api.job_decisions, roles=EVERYONE, scope=Scope.DECISIONS
    ),
    guarded("/api/jobs/{job_id}/decisions", api.decide, roles=_READERS, methods=("POST",)),
    guarded("/api/decisions", api.decisions, roles=_DECISIONS, scope=Scope.DECISIONS),
    guarded("/api/decisions/figures", api.figures, roles=_DECISIONS, scope=Scope.DECISIONS),
    guarded("/api/decisions/{decision_id}", api.decision, roles=EVERYONE, scope=Scope.DECISIONS),
    guarded("/api/decisions/{decision_id}/undo", api.undo, roles=_READERS, methods=("POST",)),
    guarded("/api/decisions/{decision_id}/send", api.send_again, roles=_READERS, methods=("POST",)),
    guarded("/api/studies/{study_uid}/questions", questions_api.study_questions, roles=EVERYONE),
    guarded(
        "/api/studies/{study_uid}/questions",
        questions_api.ask_about_study,
        roles=_READERS,
        methods=("POST",),
    ),
    guarded("/api/jobs/{job_id}/questions", questions_api.ask, roles=_READERS, methods=("POST",)),
    guarded(
        "/api/questions/{question_id}/cancel",
        questions_api.cancel,
        roles=_READERS,
        methods=("POST",),
    ),
    guarded("/api/notices", api.notices, roles=_READERS),
    guarded("/api/notices/{notice_id}/seen", api.notice_seen, roles=_READERS, methods=("POST",)),
    guarded("/read", pages.worklist_page, roles=EVERYONE),
    guarded(
        "/read/rows.json",
        pages.worklist_rows,
        access=Access(roles=EVERYONE, counts_as_use=False),
    ),
    guarded("/read/by-accession", by_link.by_accession, roles=EVERYONE),
    guarded("/read/by-study", by_link.by_study, roles=EVERYONE),
    guarded("/read/{job_id}", pages.draft_page, roles=EVERYONE),
    guarded("/mine", pages.mine_page, roles=_READERS),
)
