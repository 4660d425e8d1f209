"""Selects jobs whose results are to be sent again or whose studies are to be read again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.tables import DeliveryRow, InstanceRow, JobRow, ObjectRow
from service.errors import NotFound
from service.jobs import (
    VERIFIED,
    Action,
    DeliveryState,
    IllegalTransition,
    JobState,
    ReasonCode,
    next_state,
)
from service.records import Job
from service.store import record_mapping
from service.store.doubts import compare_again
from service.store.drift.owed import OwedDeliveries, owed_destinations
from service.store.probe_exclusion import not_a_probe
from service.store.review.decision_queries import standing_decision
from service.store.transitions import (
    OF_DOUBT,
    OF_REPORT,
    Change,
    changed_rows,
    later_drafts,
)

# All states but SENDING: a delivery that is being sent continues.
_ENDED: Final = tuple(state.value for state in DeliveryState if state is not DeliveryState.SENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A selection of jobs: every given condition must hold. Superseded jobs are left out.

    Attributes:
        states: Job states; any when empty.
        since: Jobs made at this time or later.
        until: Jobs made before this time.
        destination: Jobs with a delivery of results to the destination of this name.
        study: Study Instance UID.
        model: Name of the model that read them.
    """

    states: Collection[JobState] = ()
    since: datetime | None = None
    until: datetime | None = None
    destination: str = ""
    study: str = ""
    model: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether no condition is given."""
        return self == Selection()


class Repeats(OwedDeliveries):
    """The part of the store for sending and reading again."""

    def matching(self, selection: Selection, *, limit: int) -> list[Job]:
        """Return the selected jobs, the oldest first, at most `limit`."""
        conditions: list[ColumnElement[bool]] = [
            JobRow.superseded_by.is_(None),
            not_a_probe(JobRow.study_instance_uid),
        ]
        if selection.states:
            conditions.append(JobRow.state.in_([state.value for state in selection.states]))
        if selection.since:
            conditions.append(JobRow.created_at >= selection.since)
        if selection.until:
            conditions.append(JobRow.created_at < selection.until)
        if selection.study:
            conditions.append(JobRow.study_instance_uid == selection.study)
        if selection.model:
            conditions.append(JobRow.model_name == selection.model)
        if selection.destination:
            sent = select(DeliveryRow.id).where(
                DeliveryRow.job_id == JobRow.id,
                DeliveryRow.destination == selection.destination,
                DeliveryRow.notice == "",
            )
            conditions.append(sent.exists())
        chosen = select(JobRow).options(record_mapping.NO_DRAFT).where(*conditions)
        chosen = chosen.order_by(JobRow.created_at, JobRow.id)
        with self._reading() as session:
            return record_mapping.jobs(session.scalars(chosen.limit(limit)))

    def resend(
        self,
        job_id: str,
        actor: str,
        *,
        to: Sequence[str] = (),
        reason: str = "",
        audit: AuditEvent | None = None,
    ) -> Job:
        """Make the job's results due again; return the job. The sweeper publishes it.

        A delivery that is being sent now goes on. The job of a draft is DRAFTED until all deliveries are
        confirmed again; a job that was not analyzed keeps its state, and its notice is sent again.

        Args:
            job_id: The job.
            actor: The person who asks for it.
            to: Names of destinations, also new ones for this job; all of the job's when empty.
            reason: Why, for the job's history.
            audit: The record for the audit trail, in the same transaction.

        Raises:
            NotFound: There is no such job.
            IllegalTransition: It has no results, they were removed or withdrawn, or a later draft
                stands.
        """
        with self._writing() as session:
            self._resend_job(session, job_id, actor, to=to, reason=reason)
            job = record_mapping.job(self._row(session, job_id))
            self._audit(session, audit, study_uid=job.study_instance_uid, job_id=job.id)
            return job

    def _resend_job(
        self, session: Session, job_id: str, actor: str, *, to: Sequence[str], reason: str
    ) -> None:
        # The job's row is locked before its deliveries, as where a delivery ends: no deadlock.
        session.get(JobRow, job_id, with_for_update=True)
        row = self._row(session, job_id)
        state = JobState(row.state)
        next_state(state, Action.RESEND)
        self._check_sendable(session, row)
        names = self._due_again(session, row, to)
        # A destination that gets the draft only now must also get the notices of doubt.
        compare_again(session, record_mapping.drafted_image(row))
        sentence = f"Sent again to {', '.join(names)} by {actor}. {reason}".rstrip()
        if state is JobState.NOT_ANALYSED:
            # `_move` would replace the job's reason, which says why nothing was read.
            row.updated_at = self.now()
            session.flush()
            self._event(session, job_id, Action.RESEND, actor, (state, state), sentence)
        else:
            values = {"last_error": "", "first_error": ""}
            change = Change(actor=actor, reason=sentence, values=values)
            self._move(session, job_id, state, Action.RESEND, change)

    def _check_sendable(self, session: Session, row: JobRow) -> None:
        if row.removed_at is not None:
            raise IllegalTransition(
                "the results of this job were removed after their retention: send the study again, or "
                "have it read again"
            )
        if row.reason_code == ReasonCode.RECALLED:
            raise IllegalTransition(
                "the draft of this job was withdrawn: have the study read again"
            )
        if session.scalar(later_drafts(row).limit(1)) is not None:
            raise IllegalTransition(
                "a later revision of this job has a draft, which replaces this one: send that one"
            )
        made = select(ObjectRow.id).where(ObjectRow.job_id == row.id).limit(1)
        # A job without a draft may still have the notice of an earlier reading: that is not sent.
        is_drafted = row.draft is not None or row.state == JobState.NOT_ANALYSED.value
        if not is_drafted or session.scalar(made) is None:
            raise IllegalTransition("this job has no results to send")

    def _due_again(self, session: Session, row: JobRow, to: Sequence[str]) -> list[str]:
        """Make deliveries due with all tries counted from 0; return the names of their destinations.

        If the draft is in doubt, its notices are sent again, too: an archive that lost the draft has
        lost them as well. So are the verified reports of persons.
        """
        job_id = row.id
        known = list(
            session.scalars(
                select(DeliveryRow.destination)
                .where(DeliveryRow.job_id == job_id, DeliveryRow.notice == "")
                .order_by(DeliveryRow.id)
            )
        )
        owed = owed_destinations(session, job_id)
        # A withheld draft is released by this: no destination may lack it then.
        is_withheld = (row.state, row.reason_code) == (JobState.DRAFTED, ReasonCode.WITHHELD)
        wanted = [*to, *(owed if is_withheld else ())] if to else [*known, *owed]
        names = list(dict.fromkeys(wanted))
        if not names:
            raise IllegalTransition("this job has no destination: name one to send it to")
        now = self.now()
        afresh = {
            "state": DeliveryState.PENDING.value,
            "created_at": now,
            "not_before": None,
            "published_at": None,
            "confirmed_at": None,
            "read_back": None,
            "first_error": "",
            "last_error": "",
            **dict.fromkeys(("attempts", "lapses", "unlisted"), 0),
        }
        again = update(DeliveryRow).where(
            DeliveryRow.job_id == job_id,
            DeliveryRow.destination.in_(names),
            DeliveryRow.state.in_(_ENDED),
        )
        if not row.doubt:
            again = again.where(~OF_DOUBT)
        # The report of a decision that was undone is never sent.
        again = again.where(or_(~OF_REPORT, DeliveryRow.state != DeliveryState.CANCELED.value))
        changed_rows(session, again.values(**afresh))
        session.add_all(
            DeliveryRow(
                job_id=job_id,
                destination=name,
                state=DeliveryState.PENDING.value,
                created_at=now,
            )
            for name in names
            if name not in known
        )
        self._send_report_too(session, job_id, [name for name in names if name not in known])
        session.flush()
        return names

    def _send_report_too(self, session: Session, job_id: str, names: Sequence[str]) -> None:
        """Make the verified report of the draft, if there is one, due at new destinations."""
        standing = standing_decision(session, job_id)
        if standing is None or not standing.request.verdict.makes_report:
            return
        session.add_all(
            DeliveryRow(
                job_id=job_id,
                destination=name,
                notice=f"{VERIFIED}{standing.id}",
                state=DeliveryState.PENDING.value,
                created_at=self.now(),
                not_before=standing.undo_until,
            )
            for name in names
        )

    def check_readable(self, study_uid: str) -> None:
        """Check that images of the study are kept here.

        Raises:
            NotFound: No image of this study was received.
            IllegalTransition: All were removed after their retention.
        """
        images = select(func.count(InstanceRow.id)).where(
            InstanceRow.study_instance_uid == study_uid, ~InstanceRow.conflict
        )
        with self._reading() as session:
            if not session.scalar(images):
                raise NotFound(f"no image of the study {study_uid} has been received")
            if not session.scalar(images.where(InstanceRow.removed_at.is_(None))):
                raise IllegalTransition(
                    "the images of this study were removed after their retention: send the study again"
                )
