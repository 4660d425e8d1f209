"""Storage commitment reports in the database: owed, claimed by one sender at a time, ended."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from dicom.scu.commitment_request import CommitmentRequest, Reference
from service.audit import AuditEvent
from service.database.commitment_tables import CommitmentReportRow as Row
from service.errors import LeaseLost
from service.records import (
    CommitmentBacklog,
    CommitmentReport,
    CommitmentState,
    IncidentKind,
)
from service.store.audit.append import Audited
from service.store.transitions import NO_LEASE, changed_rows

# The longest pause between two attempts. A later `next_at` was written while the clock was ahead.
LONGEST_PAUSE: Final = timedelta(seconds=300)
# For how long ended reports are kept for the admin; a report that was given up can be owed again.
KEPT: Final = timedelta(days=7)
# Number of the advisory lock for claims: two claims at once could take two reports of one peer.
_CLAIMING: Final = 0x57454E
_IS_OWED: Final = Row.state == CommitmentState.OWED.value
_ERROR_LENGTH: Final = 500


class CommitmentReports(Audited):
    """The part of the store for storage commitment reports."""

    def owe_report(
        self, request: CommitmentRequest, *, ae_title: str, host: str, port: int
    ) -> None:
        """Record that a report is owed; a repeated request is answered by a new report."""
        now = self.now()
        asked: dict[str, Any] = {
            "host": host,
            "port": port,
            "instances": [
                [each.sop_class_uid, each.sop_instance_uid] for each in request.references
            ],
            "failures": None,
            "state": CommitmentState.OWED.value,
            "attempts": 0,
            "created_at": now,
            "next_at": now,
            "last_error": "",
            "ended_at": None,
            **NO_LEASE,
        }
        key = {"ae_title": ae_title, "transaction_uid": request.transaction_uid}
        with self._writing() as session:
            if self._insert_new(session, Row, **key, **asked, fence=0):
                return
            # The fence makes a report that is being sent for the earlier request end nothing.
            again = update(Row).filter_by(**key).values(**asked, fence=Row.fence + 1)
            changed_rows(session, again)

    def claim_report(
        self, owner: str, lease_seconds: float, *, ae_title: str | None = None
    ) -> CommitmentReport | None:
        """Claim one due report; return it, or None if none is due. The attempt is counted.

        Args:
            owner: Name of the process that sends.
            lease_seconds: Length of the lease; after it another process may claim the report.
            ae_title: Only a report to this peer, which the caller serves; otherwise a report to a peer
                to which nothing is being sent now.
        """
        now = self.now()
        with self._writing() as session:
            self._exclusive(session, _CLAIMING)
            chosen = select(Row).where(_IS_OWED, _is_due(now), _is_free(now))
            if ae_title is None:
                chosen = chosen.where(~_is_served(now))
            else:
                chosen = chosen.where(Row.ae_title == ae_title)
            row = session.scalar(chosen.order_by(Row.next_at, Row.id).limit(1).with_for_update())
            if row is None:
                return None
            row.attempts += 1
            row.fence += 1
            row.lease_owner = owner
            row.lease_until = now + timedelta(seconds=lease_seconds)
            session.flush()
            return _record(row)

    def is_report_due(self) -> bool:
        """Return whether a report waits for a sender."""
        now = self.now()
        chosen = select(Row.id).where(_IS_OWED, _is_due(now), _is_free(now), ~_is_served(now))
        with self._reading() as session:
            return session.scalar(chosen.limit(1)) is not None

    def extend_report(
        self,
        report: CommitmentReport,
        lease_seconds: float,
        *,
        failures: Mapping[str, int] | None = None,
    ) -> None:
        """Extend the claim of a report; store its outcome if `failures` are given.

        Raises:
            LeaseLost: The claim no longer holds.
        """
        values: dict[str, Any] = {"lease_until": self.now() + timedelta(seconds=lease_seconds)}
        if failures is not None:
            values["failures"] = dict(failures)
        with self._writing() as session:
            _change_held(session, report, values)

    def end_report(self, report: CommitmentReport) -> None:
        """Record that the peer has accepted a report; the peer's other reports are due now.

        Raises:
            LeaseLost: The claim no longer holds; the report is sent again.
        """
        now = self.now()
        ended = {"state": CommitmentState.REPORTED.value, "ended_at": now, "last_error": ""}
        with self._writing() as session:
            _change_held(session, report, ended | NO_LEASE)
            waiting = update(Row).where(
                _IS_OWED, Row.ae_title == report.ae_title, Row.next_at > now
            )
            changed_rows(session, waiting.values(next_at=now))

    def postpone_report(
        self, report: CommitmentReport, pause: timedelta, error: str, *, is_peer_away: bool
    ) -> None:
        """Record why an attempt failed, and when the next one is due.

        Args:
            report: The claimed report.
            pause: Time until the next attempt.
            error: Why the attempt failed.
            is_peer_away: Whether no report can reach the peer: its other reports then wait too.

        Raises:
            LeaseLost: The claim no longer holds.
        """
        next_at = self.now() + pause
        with self._writing() as session:
            failed = {"next_at": next_at, "last_error": error[:_ERROR_LENGTH]}
            _change_held(session, report, failed | NO_LEASE)
            if is_peer_away:
                others = update(Row).where(
                    _IS_OWED, Row.ae_title == report.ae_title, Row.next_at < next_at
                )
                changed_rows(session, others.values(next_at=next_at))

    def give_up_reports(self, report: CommitmentReport, before: datetime, error: str) -> int:
        """Give up a report and the others of its peer that are as old; record one incident.

        Args:
            report: The claimed report.
            before: Reports that were requested before this time are given up.
            error: Why the latest attempt failed, a sentence.

        Returns:
            How many were given up.

        Raises:
            LeaseLost: The claim no longer holds.
        """
        given_up = {
            "state": CommitmentState.GIVEN_UP.value,
            "ended_at": self.now(),
            "last_error": error[:_ERROR_LENGTH],
        } | NO_LEASE
        with self._writing() as session:
            _change_held(session, report, given_up)
            others = update(Row).where(
                _IS_OWED, Row.ae_title == report.ae_title, Row.created_at <= before
            )
            count = 1 + changed_rows(session, others.values(**given_up, fence=Row.fence + 1))
            reports = (
                "A storage commitment report was"
                if count == 1
                else f"{count} storage commitment reports were"
            )
            self._incident(
                session,
                IncidentKind.COMMITMENT,
                actor="sweeper",
                subject=report.ae_title,
                detail=f"{reports} given up: {error}",
            )
            return count

    def release_reports(self, owner: str) -> int:
        """End the claims of an earlier run of `owner`; return how many there were."""
        held = update(Row).where(_IS_OWED, Row.lease_owner == owner)
        with self._writing() as session:
            return changed_rows(session, held.values(**NO_LEASE, fence=Row.fence + 1))

    def owe_reports_again(self, ae_title: str = "", audit: AuditEvent | None = None) -> int:
        """Make the reports that were given up due again, of all peers or one; return how many."""
        now = self.now()
        chosen = update(Row).where(Row.state == CommitmentState.GIVEN_UP.value)
        if ae_title:
            chosen = chosen.where(Row.ae_title == ae_title)
        afresh = {
            "state": CommitmentState.OWED.value,
            "attempts": 0,
            "created_at": now,
            "next_at": now,
            "ended_at": None,
        }
        with self._writing() as session:
            count = changed_rows(session, chosen.values(**afresh))
            if count:
                peers = ae_title or "all peers"
                detail = f"{count} storage commitment reports to {peers}"
                self._audit(session, audit, detail=detail)
            return count

    def remove_ended_reports(self, before: datetime) -> int:
        """Delete the reports that ended before this time; return how many there were."""
        old = delete(Row).where(~_IS_OWED, Row.ended_at < before).returning(Row.id)
        with self._writing() as session:
            return len(session.scalars(old).all())

    def commitment_reports(
        self, *, state: CommitmentState | None = None, limit: int = 100
    ) -> list[CommitmentReport]:
        """Return reports, the latest requested first."""
        chosen = select(Row).order_by(Row.created_at.desc(), Row.id.desc()).limit(limit)
        if state is not None:
            chosen = chosen.where(Row.state == state.value)
        with self._reading() as session:
            return [_record(row) for row in session.scalars(chosen)]

    def commitment_backlogs(self) -> list[CommitmentBacklog]:
        """Return, sorted by peer, the reports that are owed or were given up."""
        counted = (
            select(
                Row.ae_title,
                Row.state,
                func.count(),
                func.min(Row.created_at),
                func.max(Row.attempts),
                func.max(Row.last_error),
            )
            .where(Row.state != CommitmentState.REPORTED.value)
            .group_by(Row.ae_title, Row.state)
            .order_by(Row.ae_title, Row.state)
        )
        with self._reading() as session:
            return [
                CommitmentBacklog(
                    ae_title=ae_title,
                    state=CommitmentState(state),
                    count=count,
                    oldest=oldest,
                    attempts=attempts,
                    last_error=error,
                )
                for ae_title, state, count, oldest, attempts, error in session.execute(counted)
            ]


def _is_due(now: datetime) -> ColumnElement[bool]:
    return or_(Row.next_at <= now, Row.next_at > now + LONGEST_PAUSE)


def _is_free(now: datetime) -> ColumnElement[bool]:
    # A lease longer than any pause was written while the clock was ahead.
    return or_(
        Row.lease_until.is_(None), Row.lease_until <= now, Row.lease_until > now + LONGEST_PAUSE
    )


def _is_served(now: datetime) -> ColumnElement[bool]:
    """Return the condition that another report to the same peer is being sent."""
    other = aliased(Row)
    held = and_(other.lease_until > now, other.lease_until <= now + LONGEST_PAUSE)
    is_owed = other.state == CommitmentState.OWED.value
    return select(other.id).where(is_owed, other.ae_title == Row.ae_title, held).exists()


def _change_held(session: Session, report: CommitmentReport, values: Mapping[str, Any]) -> None:
    held = update(Row).where(Row.id == report.id, Row.fence == report.fence, _IS_OWED)
    if not changed_rows(session, held.values(**values)):
        raise LeaseLost(f"report {report.id}: claim {report.fence} no longer holds it")


def _record(row: Row) -> CommitmentReport:
    return CommitmentReport(
        id=row.id,
        request=CommitmentRequest(
            transaction_uid=row.transaction_uid,
            references=tuple(
                Reference(sop_class_uid=class_uid, sop_instance_uid=uid)
                for class_uid, uid in row.instances
            ),
        ),
        ae_title=row.ae_title,
        host=row.host,
        port=row.port,
        failures=row.failures,
        state=CommitmentState(row.state),
        attempts=row.attempts,
        fence=row.fence,
        created_at=row.created_at,
        next_at=row.next_at,
        last_error=row.last_error,
        ended_at=row.ended_at,
    )
