"""The routes of reviews and decisions."""

from typing import Final

from starlette.routing import Route

from service.web.review import api

REVIEW_ROUTES: Final = (
    Route("/api/studies/{study_uid}/review", api.study_review),
    Route("/api/jobs/{job_id}/review", api.review),
    Route("/api/jobs/{job_id}/review", api.save_review, methods=["PUT"]),
    Route("/api/jobs/{job_id}/open", api.note_open, methods=["POST"]),
    Route("/api/jobs/{job_id}/decisions", api.job_decisions),
    Route("/api/jobs/{job_id}/decisions", api.decide, methods=["POST"]),
    Route("/api/decisions", api.decisions),
    Route("/api/decisions/{decision_id}", api.decision),
    Route("/api/decisions/{decision_id}/undo", api.undo, methods=["POST"]),
    Route("/api/decisions/{decision_id}/send", api.send_again, methods=["POST"]),
    Route("/api/notices", api.notices),
    Route("/api/notices/{notice_id}/seen", api.notice_seen, methods=["POST"]),
)
