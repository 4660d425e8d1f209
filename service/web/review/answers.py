"""Reviews, decisions and notices as JSON types."""

from collections.abc import Sequence
from typing import Any

from dicom.content.report import STATED, Finding, Presence
from service.errors import NotFound
from service.records import JobWithDraft
from service.review.confidence import confidence
from service.review.content import ReviewContent
from service.review.decision import (
    UNDO_SECONDS,
    Decision,
    ReportOf,
    obstacle,
    reasons_as_text,
    unanswered,
)
from service.review.draft_sentences import (
    DraftSentence,
    IdentifiedFinding,
    draft_sentences,
    identified_findings,
)
from service.review.review import AuthorNotice, StoredReview
from service.review.words import OBSTACLE_TEXT
from service.store import Store


def review_json(store: Store, job_id: str) -> dict[str, Any]:
    """Return all that a page needs to review a draft.

    Raises:
        NotFound: There is no such job, or it has no draft.
    """
    job = store.job(job_id)
    if job.draft is None:
        raise NotFound(job.draft_fault or _why_no_draft(job))
    draft, own = job.draft, draft_sentences(job.draft)
    stored = store.review(job.id)
    content = stored.content if stored else ReviewContent.of_draft(own)
    findings = identified_findings(draft)
    decided = store.decisions(job_id=job.id)
    standing = next((each for each in decided if each.undone_at is None), None)
    return {
        "job_id": job.id,
        "study_instance_uid": job.study_instance_uid,
        "revision": job.revision,
        "model": {"name": draft.model.name, "version": draft.model.version},
        "caveat": draft.model.caveat,
        "draft_status": job.draft_status.value,
        "urgent": job.urgent,
        "obstacle": _obstacle_json(job),
        "image": {
            "sop_instance_uid": draft.source.sop_instance_uid,
            "rows": draft.source.rows,
            "columns": draft.source.columns,
        },
        "sentences": [_sentence_json(each) for each in own],
        "findings": [
            _finding_json(each, own) for each in findings if each.finding.presence in STATED
        ],
        "not_mentioned": _not_mentioned(findings),
        "notes": list(draft.notes),
        "not_read": [
            {"sop_instance_uid": each.sop_instance_uid, "reason": each.reason}
            for each in draft.not_read
        ],
        "review": {
            "version": stored.version if stored else 0,
            "content": content.to_json(),
            "by": stored.reviewer.display_name if stored else None,
            "at": stored.at.isoformat() if stored else None,
        },
        "unanswered": [each.id for each in unanswered(content, own)],
        "open": open_json(store, [job.id]).get(job.id, []),
        "decision": decisions_json(store, [standing])[0] if standing else None,
        "undo_seconds": UNDO_SECONDS,
    }


def _why_no_draft(job: JobWithDraft) -> str:
    if job.never_shown:
        return "The draft was withdrawn while it was withheld: it is not shown."
    if job.hides_draft:
        return "The job was canceled while its draft was withheld: it is not shown."
    return f"The job {job.id[:8]} has no draft."


def stored_json(stored: StoredReview) -> dict[str, Any]:
    """Return a stored text with its version and its author."""
    return {
        "version": stored.version,
        "content": stored.content.to_json(),
        "by": stored.reviewer.display_name,
        "at": stored.at.isoformat(),
    }


def open_json(store: Store, job_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return who has these drafts open, by job id."""
    return {
        job_id: [
            {"id": each.reviewer_id, "name": each.name, "seen_at": each.seen_at.isoformat()}
            for each in found
        ]
        for job_id, found in store.open_reviews(job_ids).items()
    }


def news_json(store: Store, job: JobWithDraft) -> dict[str, Any]:
    """Return what may have changed while a page has a draft open."""
    stored = store.review(job.id)
    standing = store.standing_decisions([job.id]).get(job.id)
    return {
        "open": open_json(store, [job.id]).get(job.id, []),
        "version": stored.version if stored else 0,
        "by": {"id": stored.reviewer.id, "name": stored.reviewer.display_name} if stored else None,
        "obstacle": _obstacle_json(job),
        "decision": {"id": standing.id, "by": standing.reviewer.display_name} if standing else None,
    }


def decisions_json(store: Store, decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """Return decisions with the state of their reports; the number of SQL statements is fixed."""
    reports = store.reports_of(decisions)
    return [_decision_json(each, reports[each.id]) for each in decisions]


def notice_json(notice: AuthorNotice) -> dict[str, Any]:
    """Return a notice to the author of a verified report."""
    return {
        "id": notice.id,
        "decision_id": notice.decision_id,
        "job_id": notice.job_id,
        "study_instance_uid": notice.study_instance_uid,
        "kind": notice.kind,
        "subject": notice.subject,
        "detail": notice.detail,
        "at": notice.at.isoformat(),
        "seen_at": notice.seen_at.isoformat() if notice.seen_at else None,
    }


def _obstacle_json(job: JobWithDraft) -> dict[str, str] | None:
    found = obstacle(job)
    if found is None:
        return None
    sentence = " ".join(filter(None, (OBSTACLE_TEXT[found], job.doubt)))
    return {"code": found.value, "sentence": sentence}


def _sentence_json(sentence: DraftSentence) -> dict[str, Any]:
    return {
        "id": sentence.id,
        "section": sentence.section.value,
        "text": sentence.text,
        "findings": list(sentence.findings),
        "must_answer": [each.value for each in sentence.must_answer],
        "must_answer_why": reasons_as_text(sentence.must_answer),
    }


def _finding_json(
    identified: IdentifiedFinding, sentences: Sequence[DraftSentence]
) -> dict[str, Any]:
    finding = identified.finding
    return {
        "id": identified.id,
        "observation": finding.observation.value,
        "presence": finding.presence.value,
        "side": finding.side.value if finding.side else None,
        "site": finding.site,
        "confidence": confidence(finding),
        "score": finding.score,
        "agreement": _agreement_json(finding),
        "region": _region_json(finding),
        "heat": _heat_json(finding),
        "sentences": [each.id for each in sentences if identified.id in each.findings],
    }


def _agreement_json(finding: Finding) -> dict[str, int] | None:
    found = finding.agreement
    return {"same": found.same, "samples": found.samples} if found else None


def _region_json(finding: Finding) -> dict[str, Any] | None:
    region = finding.region
    if region is None:
        return None
    return {
        "points": [list(point) for point in region.points],
        "peak": list(region.peak) if region.peak else None,
    }


def _heat_json(finding: Finding) -> dict[str, float] | None:
    heat = finding.heat
    return None if heat is None else {"left": heat.left, "top": heat.top, "size": heat.size}


def _not_mentioned(findings: Sequence[IdentifiedFinding]) -> list[str]:
    return [
        each.finding.observation.value
        for each in findings
        if each.finding.presence is Presence.NOT_MENTIONED
    ]


def _decision_json(decision: Decision, report: ReportOf) -> dict[str, Any]:
    request, reviewer, edits = decision.request, decision.reviewer, decision.edits
    step = request.acceptability
    return {
        "id": decision.id,
        "job_id": decision.job_id,
        "study_instance_uid": decision.study_instance_uid,
        "number": decision.number,
        "at": decision.at.isoformat(),
        "by": {
            "id": reviewer.id,
            "name": reviewer.display_name,
            "organization": reviewer.organization,
        },
        "verdict": request.verdict.value,
        "rejection": request.rejection.value if request.rejection else None,
        "reason": request.reason,
        "acceptability": {"step": step.value, "text": step.text} if step else None,
        "content": request.content.to_json(),
        "draft": {
            "findings": list(decision.draft_findings),
            "impression": list(decision.draft_impression),
            "sop_instance_uid": decision.draft_uid,
        },
        "edits": {
            "distance": edits.distance,
            "share": edits.share,
            "sentences": edits.sentences,
            "kept": edits.kept,
            "opcodes": list(edits.opcodes),
        },
        "seconds": {
            "total": request.seconds.total,
            "image": request.seconds.image,
            "draft": request.seconds.draft,
        },
        "verdicts": {name: each.value for name, each in decision.verdicts.items()},
        "base_version": request.base_version,
        "amends": request.amends or None,
        "undo_until": decision.undo_until.isoformat(),
        "undone_at": decision.undone_at.isoformat() if decision.undone_at else None,
        "model": {"name": decision.model_name, "version": decision.model_version},
        "device": decision.device,
        "report": {
            "state": report.state.value,
            "revision": report.revision or None,
            "sop_instance_uid": report.sop_instance_uid or None,
            "made_at": report.made_at.isoformat() if report.made_at else None,
            "faults": report.faults,
        },
    }
