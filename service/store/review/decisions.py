"""Decisions of persons on drafts: recorded once, undone within a minute, amended afterwards."""

from datetime import timedelta
from typing import Final

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from dicom.content.output_kind import OutputKind
from dicom.content.phrases import is_positive
from dicom.content.report import DraftReport
from service.audit import AuditEvent
from service.database.review_tables import DecisionRow, UndoRow
from service.database.tables import DeliveryRow, JobRow, ObjectRow
from service.jobs import VERIFIED, DeliveryState, Event, JobState
from service.records import JobWithDraft
from service.review.conflicts import AlreadyDecided, CannotDecide, CannotUndo, KeyReused
from service.review.content import ReviewContent
from service.review.decision import (
    UNDO_SECONDS,
    Decision,
    DecisionRequest,
    Reviewer,
    check_request,
    check_reviewer,
    obstacle,
)
from service.review.draft_sentences import draft_sentences
from service.review.edit_measure import TextEdits
from service.review.finding_verdicts import finding_verdicts
from service.review.words import Obstacle, Section, Verdict
from service.store import record_mapping
from service.store.probe_exclusion import is_of_a_probe
from service.store.review import mapping
from service.store.review.decision_queries import (
    DecisionQueries,
    decision_of,
    is_copy_uncompared,
    standing_decision,
    with_undo,
)
from service.store.review.texts import check_version, lock_job
from service.store.session import new_id
from service.store.transitions import NO_LEASE, Transitions, changed_rows

_DONE: Final = {
    Verdict.ACCEPT: "accepted",
    Verdict.EDIT: "edited and accepted",
    Verdict.REJECT: "rejected",
}


class Decisions(DecisionQueries, Transitions):
    """The part of the store that records decisions."""

    def decide(
        self,
        job_id: str,
        request: DecisionRequest,
        reviewer: Reviewer,
        *,
        key: str,
        digest: str,
        audit: AuditEvent,
    ) -> Decision:
        """Record a decision once; return it. A repeated request returns the decision of the first.

        The verified report becomes due at the destinations of the job's draft after `UNDO_SECONDS`.

        Args:
            job_id: The job of the draft.
            request: The decision.
            reviewer: Who decides.
            key: Idempotency key of the request.
            digest: SHA-256 of the request, to distinguish a repetition from another request.
            audit: The record for the audit trail, in the same transaction; a repetition writes none.

        Raises:
            NotFound: There is no such job.
            InvalidReview: The decision is incomplete or contradicts itself.
            KeyReused: The key belongs to another request.
            CannotDecide: No report can be made from the draft.
            AlreadyDecided: Another decision stands, or the one to be amended does not.
            VersionConflict: The stored review has another version than the one decided on.
        """
        check_reviewer(reviewer)
        with self._writing() as session:
            row = lock_job(session, job_id)
            if known := _repeated(session, reviewer.id, key, digest):
                return known
            job = record_mapping.job(row)
            draft = self._decidable(session, job, request)
            standing = standing_decision(session, job_id)
            self._check_standing(standing, request)
            check_version(session, job_id, request.base_version)
            check_request(request, draft, draft_sentences(draft))
            made = self._new(session, job, draft, request, reviewer)
            session.add(mapping.decision_row(made, key, digest))
            row.decided = True
            session.flush()
            if request.verdict.makes_report:
                self._make_report_due(session, made)
            self._note(session, row, Event.DECIDED, reviewer, f"{_DONE[request.verdict]}.")
            self._audit(
                session,
                audit,
                study_uid=made.study_instance_uid,
                job_id=made.job_id,
                detail=request.verdict.value,
            )
            return made

    def _decidable(
        self, session: Session, job: JobWithDraft, request: DecisionRequest
    ) -> DraftReport:
        """Return the job's draft if this decision about it can be taken.

        Raises:
            CannotDecide: It cannot.
        """
        if is_of_a_probe(session, job.study_instance_uid):
            raise CannotDecide(Obstacle.CHECK)
        found = obstacle(job)
        if job.draft is None:
            raise CannotDecide(found or Obstacle.NO_DRAFT, job.draft_fault)
        if request.verdict.makes_report:
            if found is not None:
                raise CannotDecide(found, job.doubt or job.reason)
            if is_copy_uncompared(session, job.drafted_image):
                raise CannotDecide(Obstacle.NOT_COMPARED)
        return job.draft

    def _check_standing(self, standing: Decision | None, request: DecisionRequest) -> None:
        if request.amends == (standing.id if standing else ""):
            if standing is None:
                return
            if self.now() < standing.undo_until:
                advice = "it can be undone by its author until it is sent, and amended afterwards"
                raise AlreadyDecided(f"{_standing_text(standing)}; {advice}", standing)
            if standing.request.verdict.makes_report and not request.verdict.makes_report:
                advice = "its report has been sent: amend the report instead of rejecting the draft"
                raise AlreadyDecided(f"{_standing_text(standing)}; {advice}", standing)
            return
        if standing is None:
            raise AlreadyDecided("the decision to be amended no longer stands", None)
        raise AlreadyDecided(
            f"{_standing_text(standing)}: to change it, amend that decision", standing
        )

    def _new(
        self,
        session: Session,
        job: JobWithDraft,
        draft: DraftReport,
        request: DecisionRequest,
        reviewer: Reviewer,
    ) -> Decision:
        now = self.now()
        own = ReviewContent.of_draft(draft_sentences(draft))
        positive = dict.fromkeys(
            each.observation.value for each in draft.findings if is_positive(each)
        )
        return Decision(
            id=new_id(),
            job_id=job.id,
            study_instance_uid=job.study_instance_uid,
            number=_last_number(session, job.id) + 1,
            at=now,
            reviewer=reviewer,
            request=request,
            draft_findings=own.lines(Section.FINDINGS),
            draft_impression=own.lines(Section.IMPRESSION),
            edits=TextEdits.between(own.text, request.content.text),
            undo_until=now + timedelta(seconds=UNDO_SECONDS),
            positive=tuple(positive),
            verdicts=finding_verdicts(
                draft, request.content, makes_report=request.verdict.makes_report
            ),
            device=job.calling_ae,
            model_name=draft.model.name,
            model_version=draft.model.version,
            model_weights=draft.model.weights_sha256,
            draft_uid=_draft_uid(session, job.id),
        )

    def _make_report_due(self, session: Session, made: Decision) -> None:
        """Make the verified report due wherever the draft is, or may come to be."""
        names = session.scalars(
            select(DeliveryRow.destination)
            .where(
                DeliveryRow.job_id == made.job_id,
                DeliveryRow.notice == "",
                or_(DeliveryRow.fence > 0, DeliveryRow.state != DeliveryState.CANCELED.value),
            )
            .order_by(DeliveryRow.id)
        ).all()
        session.add_all(
            DeliveryRow(
                job_id=made.job_id,
                destination=name,
                notice=f"{VERIFIED}{made.id}",
                state=DeliveryState.PENDING.value,
                created_at=made.at,
                not_before=made.undo_until,
            )
            for name in names
        )
        session.flush()

    def undo(self, decision_id: str, reviewer: Reviewer, audit: AuditEvent) -> Decision:
        """Undo a decision before anything of it is sent; return it. A repeated call changes nothing.

        Args:
            decision_id: The decision.
            reviewer: Who undoes it.
            audit: The record for the audit trail, in the same transaction; a repetition writes none.

        Raises:
            NotFound: There is no such decision.
            CannotUndo: It is another person's, or the time to undo it is over.
        """
        with self._writing() as session:
            found = decision_of(session, decision_id)
            row = lock_job(session, found.job_id)
            found = decision_of(session, decision_id)  # another request may have undone it
            if found.reviewer.id != reviewer.id:
                raise CannotUndo(f"only {found.reviewer.display_name} can undo this decision")
            if found.undone_at is not None:
                return found
            if self.now() >= found.undo_until or not _cancel_deliveries(session, found.id):
                raise CannotUndo(f"the time to undo is over: {_instead_of_undo(found)}")
            session.execute(insert(UndoRow).values(decision_id=found.id, at=self.now()))
            row.decided = standing_decision(session, found.job_id) is not None
            self._note(session, row, Event.UNDONE, reviewer, "the decision was undone.")
            self._audit(session, audit, study_uid=found.study_instance_uid, job_id=found.job_id)
            return decision_of(session, decision_id)

    def _note(
        self, session: Session, row: JobRow, event: Event, reviewer: Reviewer, text: str
    ) -> None:
        # The pages follow `jobs.updated_at`.
        row.updated_at = self.now()
        session.flush()
        state = JobState(row.state)
        self._event(session, row.id, event, reviewer.display_name, (state, state), f"Draft: {text}")


def _repeated(session: Session, reviewer_id: str, key: str, digest: str) -> Decision | None:
    """Return the decision that this request has made before; None if it comes first.

    Raises:
        KeyReused: The key belongs to another request.
    """
    found = session.execute(
        with_undo().where(
            DecisionRow.reviewer_id == reviewer_id, DecisionRow.idempotency_key == key
        )
    ).first()
    if found is None:
        return None
    if found[0].request_digest != digest:
        raise KeyReused("this Idempotency-Key belongs to another request: use a new one")
    return mapping.decision(*found)


def _last_number(session: Session, job_id: str) -> int:
    chosen = select(DecisionRow.number).where(DecisionRow.job_id == job_id)
    return session.scalar(chosen.order_by(DecisionRow.number.desc()).limit(1)) or 0


def _draft_uid(session: Session, job_id: str) -> str:
    chosen = select(ObjectRow.sop_instance_uid).where(
        ObjectRow.job_id == job_id, ObjectRow.kind == OutputKind.DRAFT_REPORT
    )
    return session.scalar(chosen.limit(1)) or ""


def _cancel_deliveries(session: Session, decision_id: str) -> bool:
    """Cancel the deliveries of a decision's report; return False if one was claimed already."""
    its = DeliveryRow.notice == f"{VERIFIED}{decision_id}"
    if session.scalar(select(DeliveryRow.id).where(its, DeliveryRow.fence > 0).limit(1)):
        return False
    total = session.scalars(select(DeliveryRow.id).where(its)).all()
    unclaimed = update(DeliveryRow).where(
        its, DeliveryRow.state == DeliveryState.PENDING.value, DeliveryRow.fence == 0
    )
    done = changed_rows(session, unclaimed.values(state=DeliveryState.CANCELED.value, **NO_LEASE))
    return done == len(total)


def _instead_of_undo(late: Decision) -> str:
    if late.request.verdict.makes_report:
        return "amend the report instead"
    return "the rejection stands, and no report is sent"


def _standing_text(standing: Decision) -> str:
    done = _DONE[standing.request.verdict]
    at = f"{standing.at.astimezone():%H:%M:%S %Z}"
    return f"{standing.reviewer.display_name} has {done} this draft at {at}"
