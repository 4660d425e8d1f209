"""Deliveries of results: one row for each job and destination, leased and fenced like a job."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Update, and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from service.database.tables import DeliveryRow, JobRow, ObjectRow
from service.destination_backlog import Trouble
from service.errors import LeaseLost
from service.jobs import VERIFIED, Action, DeliveryState, Event, JobState, ReasonCode
from service.records import Delivery, ResultObject
from service.sentence import about, ended
from service.store import record_mapping
from service.store.network.paused import is_paused
from service.store.transitions import (
    IS_SENDABLE,
    NO_LEASE,
    OF_REPORT,
    OF_RESULTS,
    Change,
    Transitions,
    changed_rows,
)

# Losses of the worker in a row before a delivery fails. One or two can be power cuts; but each loss
# costs a lease (`delivery.lease_seconds`, two minutes) and ends the worker's other deliveries.
MAX_LAPSES: Final = 5

# Text for the job's history by `read_back`, see `Deliveries.confirm_delivery`.
_CONFIRMED: Final[dict[bool | None, str]] = {
    True: "every object is there, read back.",
    False: "every object was acknowledged; not read back.",
    None: "it receives none of these results (setting `objects`).",
}
# Most overdue deliveries that one call of `fail_overdue` ends.
_MOST_OVERDUE: Final = 200
# Number of the advisory lock for claims: two claims at once could exceed a destination's limit.
_CLAIMING = 0x57454C


class Deliveries(Transitions):
    """The part of the store that the delivery workers use."""

    def claim_delivery(
        self,
        job_id: str | None,
        owner: str,
        lease_seconds: float,
        limits: Mapping[str, int],
        excluding: Collection[str] = (),
    ) -> tuple[Delivery, tuple[ResultObject, ...]] | None:
        """Claim one due delivery for `owner`; return it and its objects, or None when none is due.

        Urgent ones come first, then those that were never tried, then the oldest. None to a paused
        destination is due.

        Args:
            job_id: Only of this job; of any job when None.
            owner: Name of the worker that sends.
            lease_seconds: Length of the lease in seconds.
            limits: Most deliveries at once, in all processes, by destination; a destination that is
                not named has no limit.
            excluding: Destinations to which `owner` starts nothing now.
        """
        with self._writing() as session:
            self._exclusive(session, _CLAIMING)
            row = self._due(session, job_id, {*self._full(session, limits), *excluding})
            if row is None:
                return None
            row.state = DeliveryState.SENDING.value
            row.lease_owner = owner
            row.lease_until = self.now() + timedelta(seconds=lease_seconds)
            row.attempts += 1
            row.fence += 1
            session.flush()
            return record_mapping.delivery(row), self._objects(session, row.job_id)

    def _full(self, session: Session, limits: Mapping[str, int]) -> list[str]:
        under_way = session.execute(
            select(DeliveryRow.destination, func.count())
            .where(DeliveryRow.state == DeliveryState.SENDING.value)
            .group_by(DeliveryRow.destination)
        )
        # The default count + 1: a destination without a limit is never full.
        return [name for name, count in under_way if count >= limits.get(name, count + 1)]

    def _due(
        self, session: Session, job_id: str | None, full: Collection[str]
    ) -> DeliveryRow | None:
        chosen = (
            select(DeliveryRow)
            .join(JobRow, JobRow.id == DeliveryRow.job_id)
            .where(
                DeliveryRow.state == DeliveryState.PENDING.value,
                IS_SENDABLE,
                ~is_paused(),
                ~_waits_for_results(),
                or_(DeliveryRow.not_before.is_(None), DeliveryRow.not_before <= self.now()),
            )
            .order_by(JobRow.urgent.desc(), DeliveryRow.attempts > 0, DeliveryRow.id)
            .limit(1)
            # A row that another transaction is changing is skipped, not waited for.
            .with_for_update(of=DeliveryRow, skip_locked=True)
        )
        if full:
            chosen = chosen.where(DeliveryRow.destination.not_in(sorted(full)))
        if job_id is not None:
            chosen = chosen.where(DeliveryRow.job_id == job_id)
        return session.scalar(chosen)

    def _objects(self, session: Session, job_id: str) -> tuple[ResultObject, ...]:
        found = session.scalars(
            select(ObjectRow).where(ObjectRow.job_id == job_id).order_by(ObjectRow.id)
        )
        return tuple(record_mapping.result_object(row) for row in found)

    def destinations_restarted(self, job_id: str) -> frozenset[str]:
        """Return the destinations to which the job was sent before and whose tries count from 0 again.

        A person had the job sent again, or a worker stopped during the first try (`postpone_delivery`).
        """
        with self._reading() as session:
            found = session.scalars(
                select(DeliveryRow.destination).where(
                    DeliveryRow.job_id == job_id,
                    DeliveryRow.state == DeliveryState.PENDING.value,
                    DeliveryRow.attempts == 0,
                    DeliveryRow.fence > 0,
                )
            )
            return frozenset(found)

    def extend_delivery(self, delivery_id: int, fence: int, lease_seconds: float) -> None:
        """Extend the lease to `lease_seconds` from now.

        Raises:
            LeaseLost: The delivery was taken back, or its job was canceled.
        """
        until = self.now() + timedelta(seconds=lease_seconds)
        with self._writing() as session:
            self._change_held(session, delivery_id, fence, {"lease_until": until})

    def confirm_delivery(
        self, delivery_id: int, fence: int, *, read_back: bool | None = True
    ) -> JobState:
        """Record that the destination holds every object; return the job's new state.

        Args:
            delivery_id: The delivery.
            fence: Number of the claim that reports this.
            read_back: True if the objects were read back, False if they were acknowledged only; None if
                none was of a kind that the destination gets.

        Raises:
            LeaseLost: The claim no longer holds the delivery; nothing was written.
        """
        values = {
            "state": DeliveryState.CONFIRMED.value,
            "confirmed_at": self.now(),
            "last_error": "",
            "read_back": read_back,
        }
        return self._end_delivery(delivery_id, fence, values, confirmation=_CONFIRMED[read_back])

    def fail_delivery(
        self, delivery_id: int, fence: int, error: str, *, trouble: Trouble | None = None
    ) -> JobState:
        """Record that the delivery failed for good; return the job's new state.

        Args:
            delivery_id: The delivery.
            fence: Number of the claim that reports this.
            error: What went wrong.
            trouble: State of the destination that the error shows; None when it shows none.

        Raises:
            LeaseLost: The claim no longer holds the delivery; nothing was written.
        """
        values = {"state": DeliveryState.FAILED.value, **self._shown(trouble)}
        return self._end_delivery(delivery_id, fence, values, error=error)

    def _shown(self, trouble: Trouble | None) -> dict[str, Any]:
        return {"failed_at": self.now(), "trouble": trouble.value} if trouble else {}

    def fail_overdue(self, destination: str, before: datetime, error: str) -> int:
        """Fail the PENDING deliveries to a destination that are due since before this time.

        Deliveries that a worker is sending, and those to a paused destination, are left out.

        Returns:
            How many failed; at most 200 are examined.
        """
        overdue = (
            DeliveryRow.destination == destination,
            DeliveryRow.state == DeliveryState.PENDING.value,
            DeliveryRow.created_at < before,
            ~is_paused(),
        )
        with self._reading() as session:
            chosen = select(DeliveryRow.id, DeliveryRow.fence).where(*overdue).limit(_MOST_OVERDUE)
            found = session.execute(chosen).all()
        values = {"state": DeliveryState.FAILED.value}
        failed = 0
        for number, fence in found:
            # It may have been claimed or canceled meanwhile.
            with suppress(LeaseLost):
                self._end_delivery(number, fence, values, error=error, state=DeliveryState.PENDING)
                failed += 1
        return failed

    def postpone_delivery(
        self,
        delivery_id: int,
        fence: int,
        error: str,
        delay: float,
        *,
        unlisted: bool = False,
        trouble: Trouble | None = None,
    ) -> None:
        """Record a try that did not succeed; the delivery is due again after `delay` seconds.

        Args:
            delivery_id: The delivery.
            fence: Number of the claim that reports this.
            error: What went wrong; empty if the worker only stops, which counts as no attempt.
            delay: Seconds until the next try.
            unlisted: Whether the destination acknowledged objects and does not list them.
            trouble: State of the destination that the error shows; None when it shows none.

        Raises:
            LeaseLost: The claim no longer holds the delivery; nothing was written.
        """
        values: dict[str, Any] = {
            "state": DeliveryState.PENDING.value,
            "not_before": self.now() + timedelta(seconds=delay) if delay else None,
            "published_at": None,
        }
        with self._writing() as session:
            if error:
                # The worker survived this try, so its losses in a row end.
                values["lapses"] = 0
                values |= self._delivery_errors(session, delivery_id, error)
                values["unlisted"] = DeliveryRow.unlisted + int(unlisted)
                values |= self._shown(trouble)
            else:
                values["attempts"] = DeliveryRow.attempts - 1
            self._change_held(session, delivery_id, fence, values | NO_LEASE)

    def _end_delivery(
        self,
        delivery_id: int,
        fence: int,
        values: dict[str, Any],
        *,
        error: str = "",
        confirmation: str = "",
        state: DeliveryState = DeliveryState.SENDING,
        only: tuple[ColumnElement[bool], ...] = (),
    ) -> JobState:
        with self._writing() as session:
            row = session.get(DeliveryRow, delivery_id)
            if row is None:
                raise LeaseLost(f"delivery {delivery_id} no longer exists")
            # Lock the job's row first: of two deliveries that end at once, the second then sees the
            # state of the first, and `_settle` ends the job.
            job = session.get_one(JobRow, row.job_id, with_for_update=True)
            if error:
                values = values | self._delivery_errors(session, delivery_id, error)
            only = (*only, DeliveryRow.state == state.value)
            self._change_held(session, delivery_id, fence, values | NO_LEASE, only)
            action = Event.DELIVER_FAILED if error else Event.DELIVER
            done = _done(row.notice, confirmation)
            reason = about(row.destination, error or done)
            stands = JobState(job.state)
            actor = row.lease_owner or "service"
            self._event(session, job.id, action, actor, (stands, stands), reason)
            return stands if row.notice else self._settle(session, job.id, stands)

    def _settle(self, session: Session, job_id: str, state: JobState) -> JobState:
        """Complete or fail a DRAFTED job when no delivery is open any more; return its state.

        A job that was not analyzed has ended already; its notice changes only the delivery's state.
        """
        if state is not JobState.DRAFTED:
            return state
        found = session.execute(
            select(
                DeliveryRow.destination,
                DeliveryRow.state,
                DeliveryRow.last_error,
                DeliveryRow.read_back,
            )
            .where(DeliveryRow.job_id == job_id, DeliveryRow.notice == "")
            .order_by(DeliveryRow.id)
        ).all()
        # Canceled deliveries do not count: the job was canceled, then sent again to other destinations.
        states = {DeliveryState(row.state) for row in found} - {DeliveryState.CANCELED}
        if states & {DeliveryState.PENDING, DeliveryState.SENDING}:
            return state
        if states == {DeliveryState.CONFIRMED}:
            confirmed = [row for row in found if row.state == DeliveryState.CONFIRMED.value]
            change = Change(actor="service", reason=_confirmed_by(confirmed))
            return self._move(session, job_id, state, Action.CONFIRM, change)
        failed = [row for row in found if row.state == DeliveryState.FAILED.value]
        errors = " ".join(about(row.destination, ended(row.last_error)) for row in failed)
        values = {"last_error": errors}
        change = Change(
            actor="service", code=ReasonCode.NOT_DELIVERED, reason=errors, values=values
        )
        return self._move(session, job_id, state, Action.FAIL, change)

    def _change_held(
        self,
        session: Session,
        delivery_id: int,
        fence: int,
        values: dict[str, Any],
        only: tuple[ColumnElement[bool], ...] = (DeliveryRow.state == DeliveryState.SENDING.value,),
    ) -> None:
        if not changed_rows(session, _claimed(delivery_id, fence).where(*only).values(**values)):
            raise LeaseLost(f"delivery {delivery_id}: claim {fence} no longer holds it")

    def _delivery_errors(self, session: Session, delivery_id: int, error: str) -> dict[str, Any]:
        row = session.get_one(DeliveryRow, delivery_id)
        return {"first_error": row.first_error or error, "last_error": error}

    def take_back_deliveries(self, now: datetime, *, owner: str | None = None) -> int:
        """Make deliveries due again whose worker was lost or stops; return how many that were.

        A delivery that lost its worker MAX_LAPSES times in a row is FAILED: it may crash its workers.

        Args:
            now: Deliveries whose lease ended at or before this time.
            owner: Instead all deliveries of this worker, which stops; that counts as no loss.
        """
        lost = owner is None
        ended = DeliveryRow.lease_until <= now if lost else DeliveryRow.lease_owner == owner
        sending = (DeliveryRow.state == DeliveryState.SENDING.value, ended)
        chosen = select(DeliveryRow.id, DeliveryRow.fence, DeliveryRow.lapses).where(*sending)
        # The sweeper calls this each second: no writing transaction if there is nothing to do.
        with self._reading() as session:
            found = session.execute(chosen).all()
        if not found:
            return 0
        last = [(row.id, row.fence) for row in found if row.lapses >= MAX_LAPSES - 1]
        given_up = self._give_up(sending, last) if lost else 0
        with self._writing() as session:
            again = changed_rows(
                session,
                update(DeliveryRow)
                .where(*sending)
                .values(
                    state=DeliveryState.PENDING.value,
                    published_at=None,
                    last_error="The worker that was sending it stopped or was lost.",
                    lapses=DeliveryRow.lapses + (1 if lost else 0),
                    **NO_LEASE,
                ),
            )
        return given_up + again

    def _give_up(
        self, sending: tuple[ColumnElement[bool], ...], claims: Sequence[tuple[int, int]]
    ) -> int:
        message = (
            f"Its worker was lost {MAX_LAPSES} times in a row; the results may crash the worker."
        )
        values = {"state": DeliveryState.FAILED.value, "lapses": MAX_LAPSES}
        given_up = 0
        for number, fence in claims:
            # The worker may have extended its lease or ended the delivery meanwhile.
            with suppress(LeaseLost):
                self._end_delivery(number, fence, values, error=message, only=sending)
                given_up += 1
        return given_up


def _waits_for_results() -> ColumnElement[bool]:
    """Return the condition that what a notice or a report refers to is not yet at the destination.

    That is the draft; and for the report that amends another one, the amended report.
    """
    earlier = aliased(DeliveryRow)
    still = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)
    amended = and_(OF_REPORT, earlier.notice.startswith(VERIFIED), earlier.id < DeliveryRow.id)
    under_way = select(earlier.id).where(
        earlier.job_id == DeliveryRow.job_id,
        earlier.destination == DeliveryRow.destination,
        or_(earlier.notice == "", amended),
        earlier.state.in_(still),
    )
    return and_(~OF_RESULTS, under_way.exists())


def _done(notice: str, confirmation: str) -> str:
    """Return what a delivery has done, for the job's history."""
    if notice.startswith(VERIFIED):
        return f"verified report: {confirmation}"
    return "the notice of doubt is there." if notice else confirmation


def _confirmed_by(found: Sequence[Row[*tuple[Any, ...]]]) -> str:
    """Return sentences: which destinations were read back, which only acknowledged the results."""
    read = [row.destination for row in found if row.read_back]
    only = [row.destination for row in found if row.read_back is False]
    none = [row.destination for row in found if row.read_back is None]
    parts = [f"Read back from {', '.join(read)}."] if read else []
    parts += [f"Acknowledged by {', '.join(only)}, not read back."] if only else []
    parts += [f"No result is of a kind for {', '.join(none)}."] if none else []
    return " ".join(parts)


def _claimed(delivery_id: int, fence: int) -> Update:
    return update(DeliveryRow).where(DeliveryRow.id == delivery_id, DeliveryRow.fence == fence)
