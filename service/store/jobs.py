"""The reading of a job by a worker: claim, extend the lease, end it, or hand it back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from dicom.content.report import DraftReport
from service.database.tables import DeliveryRow, JobRow, ObjectRow
from service.database.withholding_tables import WithheldDraftRow
from service.drift.withholding import withheld_sentence
from service.errors import LeaseLost
from service.jobs import Action, DeliveryState, JobState, ReasonCode
from service.records import Job, JobWithDraft, ResultObject
from service.review.draft_sentences import urgent_findings
from service.store import record_mapping
from service.store.doubts import compare_again
from service.store.probe_exclusion import is_of_a_probe
from service.store.search.texts import enter_draft
from service.store.stop_in_force import check_drafting, stop_in_force
from service.store.transitions import UNDRAFTED, Change, Transitions, changed_rows


class Jobs(Transitions):
    """Changes of a job from its claim to the end of its reading."""

    def claim_reading(
        self,
        job_id: str,
        owner: str,
        lease_seconds: float,
        *,
        model: str | None = None,
        while_stopped: bool = False,
    ) -> Job | None:
        """Claim the job for `owner` until the lease ends; return it, or None if it cannot be claimed.

        None is normal: the message came twice or early, or the job is held by another worker, is for
        another model, has an earlier revision that is not yet read, or a person has stopped drafting.

        Args:
            job_id: The job.
            owner: Name of the worker.
            lease_seconds: Length of the lease in seconds.
            model: Only a job for this model; for any model when None.
            while_stopped: Whether to claim the job although drafting is stopped, to send a notice.
        """
        with self._writing() as session:
            row = session.get(JobRow, job_id)
            if row is None or model not in (None, row.model_name):
                return None
            # Locked until the commit: an Instance that arrives now is either read by this job or makes
            # a later revision, and is never counted as read without being read.
            self._lock_study(session, row.study_instance_uid)
            # Locked: a person may cancel the job at this moment.
            session.refresh(row, with_for_update=True)
            if not self._claimable(session, row):
                return None
            if stop_in_force(session) is not None and not while_stopped:
                return None
            self._claim(session, row, owner, lease_seconds)
            session.refresh(row)
            return record_mapping.job(row)

    def _claimable(self, session: Session, row: JobRow) -> bool:
        now = self.now()
        if row.state != JobState.SCHEDULED.value or (row.not_before and row.not_before > now):
            return False
        # Revisions are read in order: a later one compares what it reads with the earlier draft.
        earlier = select(JobRow.id).where(
            JobRow.study_instance_uid == row.study_instance_uid,
            JobRow.model_name == row.model_name,
            JobRow.revision < row.revision,
            JobRow.state.in_(UNDRAFTED),
        )
        return session.scalar(earlier.limit(1)) is None

    def _claim(self, session: Session, row: JobRow, owner: str, lease_seconds: float) -> None:
        now = self.now()
        is_latest = not session.scalar(
            select(JobRow.id)
            .where(
                JobRow.study_instance_uid == row.study_instance_uid,
                JobRow.model_name == row.model_name,
                JobRow.revision > row.revision,
            )
            .limit(1)
        )
        # If there is a later revision, it reads the later Instances; this one keeps to its own.
        reads = self._newest_instance(session, row.study_instance_uid)
        through = reads if is_latest or row.read_through is None else row.read_through
        values = {
            "fence": JobRow.fence + 1,
            "attempts": JobRow.attempts + 1,
            "lease_owner": owner,
            "lease_until": now + timedelta(seconds=lease_seconds),
            # Kept from the first claim: the results carry this time, and a second attempt must make
            # the same bytes.
            "produced_at": row.produced_at or now,
            "read_through": through,
            "not_before": None,
        }
        change = Change(actor=owner, values=values)
        self._move(session, row.id, JobState.SCHEDULED, Action.CLAIM, change)

    def extend(self, job_id: str, fence: int, lease_seconds: float) -> None:
        """Extend the lease to `lease_seconds` from now.

        Raises:
            LeaseLost: The job was taken back, or a person canceled it.
        """
        held = update(JobRow).where(
            JobRow.id == job_id,
            JobRow.fence == fence,
            JobRow.state == JobState.IN_PROGRESS.value,
        )
        until = self.now() + timedelta(seconds=lease_seconds)
        with self._writing() as session:
            if not changed_rows(session, held.values(lease_until=until)):
                raise LeaseLost(f"job {job_id[:8]}: claim {fence} no longer holds it")

    def draft(
        self,
        job_id: str,
        fence: int,
        draft: DraftReport,
        objects: Sequence[ResultObject],
        destinations: Sequence[str],
        withheld_until: datetime | None = None,
    ) -> Job:
        """Record draft and deliveries; return the job, DRAFTED, or COMPLETED without destination.

        The previous revision's draft is superseded. With `withheld_until` the draft is withheld until
        then, unless an earlier draft of the study is shown already.

        Raises:
            LeaseLost: The claim no longer holds the job; nothing was written.
            DraftingStopped: A person has stopped drafting; nothing was written.
        """
        with self._writing() as session:
            check_drafting(session)
            before = self._previous_draft_row(session, self._row(session, job_id))
            values = {
                "draft": draft.to_json(),
                "urgent_finding": bool(urgent_findings(draft)),
                "supersedes": before.id if before else None,
                "published_at": self.now(),
                "doubt": "",
                "doubted_at": None,
            }
            change = Change(actor="", fence=fence, values=values)
            is_shown = before is not None and before.reason_code != ReasonCode.WITHHELD
            # An end-to-end check measures the delivery, so its draft is sent at once.
            if is_shown or is_of_a_probe(session, draft.study_instance_uid):
                withheld_until = None
            if withheld_until is not None:
                withheld_until = _at_the_latest(session, before, withheld_until)
                sentence = withheld_sentence(withheld_until)
                change = replace(change, code=ReasonCode.WITHHELD, reason=sentence)
            self._move_held(session, job_id, Action.DRAFT, change)
            # Behind the job's row, which a release locks first: no deadlock.
            self._withhold(session, job_id, destinations, withheld_until)
            sent_now = destinations if withheld_until is None else ()
            self._replace_results(session, job_id, objects, sent_now)
            compare_again(session, draft.source.sop_instance_uid)
            enter_draft(session, job_id, draft)
            if before is not None:
                self._supersede(session, before.id, job_id)
            if not destinations and withheld_until is None:
                self._complete_undelivered(session, job_id)
            return record_mapping.job(self._row(session, job_id))

    def _withhold(
        self, session: Session, job_id: str, destinations: Sequence[str], until: datetime | None
    ) -> None:
        """Withhold a draft until then; None: forget that an earlier draft of the job was withheld."""
        if until is None:
            session.execute(delete(WithheldDraftRow).where(WithheldDraftRow.job_id == job_id))
            return
        session.merge(
            WithheldDraftRow(
                job_id=job_id,
                destinations=list(destinations),
                withheld_at=self.now(),
                until=until,
                released_at=None,
                release="",
            )
        )

    def _supersede(self, session: Session, earlier: str, later: str) -> None:
        changed_rows(
            session,
            update(JobRow)
            .where(JobRow.id == earlier)
            .values(superseded_by=later, updated_at=self.now()),
        )

    def _complete_undelivered(self, session: Session, job_id: str) -> None:
        reason = "No destination is configured: the results stay in the outbox."
        change = Change(actor="service", code=ReasonCode.NO_DESTINATION, reason=reason)
        self._move(session, job_id, JobState.DRAFTED, Action.CONFIRM, change)

    def _replace_results(
        self,
        session: Session,
        job_id: str,
        objects: Sequence[ResultObject],
        destinations: Sequence[str],
    ) -> None:
        session.execute(delete(ObjectRow).where(ObjectRow.job_id == job_id))
        session.execute(
            delete(DeliveryRow).where(DeliveryRow.job_id == job_id, DeliveryRow.notice == "")
        )
        now = self.now()
        session.add_all(_object_row(job_id, item) for item in objects)
        session.add_all(
            DeliveryRow(
                job_id=job_id,
                destination=name,
                state=DeliveryState.PENDING.value,
                created_at=now,
                published_at=now,
            )
            for name in destinations
        )
        session.flush()

    def not_analysed(
        self,
        job_id: str,
        fence: int,
        code: str,
        sentence: str,
        *,
        notice: Sequence[ResultObject] = (),
        destinations: Sequence[str] = (),
    ) -> Job:
        """End the job as NOT_ANALYSED for this reason; return it. `notice` is sent to `destinations`.

        The state is final; the delivery of the notice does not change it.

        Raises:
            LeaseLost: The claim no longer holds the job; nothing was written.
        """
        change = Change(actor="", fence=fence, code=code, reason=sentence)
        with self._writing() as session:
            self._move_held(session, job_id, Action.NOT_ANALYSED, change)
            self._replace_results(session, job_id, notice, destinations)
            return record_mapping.job(self._row(session, job_id))

    def cancel_unchanged(self, job_id: str, fence: int, code: str, sentence: str) -> Job:
        """End the job as CANCELED by its own worker, because the earlier draft stands; return it.

        Raises:
            LeaseLost: The claim no longer holds the job; nothing was written.
        """
        change = Change(actor="", fence=fence, code=code, reason=sentence)
        return self._end(job_id, Action.CANCEL, change)

    def fail(self, job_id: str, fence: int, code: str, sentence: str) -> Job:
        """End the job as FAILED for this reason, which becomes its last error; return it.

        Raises:
            LeaseLost: The claim no longer holds the job; nothing was written.
        """
        change = Change(actor="", fence=fence, code=code, reason=sentence)
        return self._end(job_id, Action.FAIL, change)

    def give_up(self, job_id: str, fence: int, code: str, sentence: str, now: datetime) -> Job:
        """End the job as FAILED because its lease has ended too often; return it.

        Raises:
            LeaseLost: The lease was extended beyond `now`, or the job was taken back.
        """
        change = Change(actor="sweeper", fence=fence, code=code, reason=sentence, lapsed_at=now)
        return self._end(job_id, Action.FAIL, change)

    def _end(self, job_id: str, action: Action, change: Change) -> Job:
        with self._writing() as session:
            if action is Action.FAIL:
                change = replace(change, values=self._errors(session, job_id, change.reason))
            self._move_held(session, job_id, action, change)
            return record_mapping.job(self._row(session, job_id))

    def hand_back(
        self,
        job_id: str,
        fence: int,
        code: str,
        sentence: str,
        delay: float = 0.0,
        *,
        counted: bool = True,
        lapsed_at: datetime | None = None,
    ) -> Job:
        """Make the job SCHEDULED again, due for any worker after `delay` seconds; return it.

        Args:
            job_id: The job.
            fence: The claim that hands the job back, or from which it is taken back.
            code: Machine-readable reason.
            sentence: The reason for a person.
            delay: Seconds until the next try.
            counted: Whether the attempt failed; False for a worker that stops.
            lapsed_at: Take back only if the lease ended at or before this time.

        Raises:
            LeaseLost: The claim no longer holds the job; nothing was written.
        """
        with self._writing() as session:
            if counted:
                values = self._errors(session, job_id, sentence)
            else:
                values = {"attempts": JobRow.attempts - 1}
            values["not_before"] = self.now() + timedelta(seconds=delay) if delay else None
            values["published_at"] = None
            change = Change(
                actor="sweeper" if lapsed_at else "",
                fence=fence,
                code=code,
                reason=sentence,
                lapsed_at=lapsed_at,
                values=values,
            )
            self._move_held(session, job_id, Action.HAND_BACK, change)
            return record_mapping.job(self._row(session, job_id))

    def _move_held(self, session: Session, job_id: str, action: Action, change: Change) -> None:
        """Move the job that a claim holds; the actor is its holder unless `change` names one."""
        actor = change.actor or self._row(session, job_id).lease_owner
        self._move(session, job_id, JobState.IN_PROGRESS, action, replace(change, actor=actor))

    def _errors(self, session: Session, job_id: str, sentence: str) -> dict[str, Any]:
        first = self._row(session, job_id).first_error or sentence
        return {"first_error": first, "last_error": sentence}

    def previous_draft(self, job_id: str) -> JobWithDraft | None:
        """Return the job whose draft the draft of `job_id` would supersede; None if there is none.

        Raises:
            NotFound: There is no job of this id.
        """
        with self._reading() as session:
            row = self._previous_draft_row(session, self._row(session, job_id))
            # Also one that is withheld: Instances that change nothing must not make another draft.
            return record_mapping.job(row, with_withheld=True) if row else None

    def _previous_draft_row(self, session: Session, row: JobRow) -> JobRow | None:
        """Return the last revision before `row` whose draft is, or may come to be, in a PACS."""
        delivered = select(DeliveryRow.job_id).where(
            DeliveryRow.job_id == JobRow.id,
            DeliveryRow.notice == "",
            DeliveryRow.state == DeliveryState.CONFIRMED.value,
        )
        stands = (JobState.DRAFTED.value, JobState.COMPLETED.value)
        return session.scalar(
            select(JobRow)
            .where(
                JobRow.study_instance_uid == row.study_instance_uid,
                JobRow.model_name == row.model_name,
                JobRow.revision < row.revision,
                JobRow.draft.is_not(None),
                or_(JobRow.state.in_(stands), delivered.exists()),
            )
            .order_by(JobRow.revision.desc())
            .limit(1)
        )


def _at_the_latest(session: Session, before: JobRow | None, until: datetime) -> datetime:
    """Return until when a draft is withheld: no longer than the withheld one that it replaces."""
    earlier = session.get(WithheldDraftRow, before.id) if before else None
    return until if earlier is None else min(until, earlier.until)


def _object_row(job_id: str, item: ResultObject) -> ObjectRow:
    return ObjectRow(
        job_id=job_id,
        kind=item.kind,
        sop_class_uid=item.sop_class_uid,
        sop_instance_uid=item.sop_instance_uid,
        series_instance_uid=item.series_instance_uid,
        study_instance_uid=item.study_instance_uid,
        path=str(item.path),
        sha256=item.sha256,
    )
