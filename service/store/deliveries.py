"""Results go out: one row for each job and destination, leased and fenced like a job."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Update, and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from service.database.tables import DeliveryRow, JobRow, ObjectRow
from service.destination_backlog import Trouble
from service.errors import LeaseLost
from service.jobs import Action, DeliveryState, JobState
from service.records import Delivery, ResultObject
from service.store import record_mapping
from service.store.transitions import IS_SENDABLE, NO_LEASE, Change, Transitions, changed_rows

# As often a sender may be lost in a row: a power cut or two are not the delivery's fault, and each
# loss costs a lease (`delivery.lease_seconds`, two minutes) and takes its worker's other threads along.
MAX_LAPSES: Final = 5

# How a delivery was confirmed, see `Deliveries.confirm_delivery`.
_CONFIRMED: Final[dict[bool | None, str]] = {
    True: "every object is there, read back.",
    False: "every object was acknowledged; not read back.",
    None: "none of the results is of a kind that it gets (objects).",
}
# Overdue deliveries that one silent try ends, at most.
_MOST_OVERDUE: Final = 200
# Number of the advisory lock under which deliveries are claimed, so that the limits hold.
_CLAIMING = 0x57454C


class Deliveries(Transitions):
    """The deliverer's part of the store."""

    def claim_delivery(
        self,
        job_id: str | None,
        owner: str,
        lease_seconds: float,
        limits: Mapping[str, int],
        but_not: Collection[str] = (),
    ) -> tuple[Delivery, tuple[ResultObject, ...]] | None:
        """Return one due delivery, now held by `owner`, and its objects; None when none is due.

        Urgent ones come first, then those that were never tried, then the oldest.

        Args:
            job_id: Only of this job; of any job when None.
            owner: Who sends.
            lease_seconds: Until when it counts as lost.
            limits: For each destination how many deliveries may be under way at once, in all
                processes; a destination that is not named has no limit.
            but_not: Destinations to which `owner` starts nothing now.
        """
        with self._writing() as session:
            self._exclusive(session, _CLAIMING)
            row = self._due(session, job_id, {*self._full(session, limits), *but_not})
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
                ~_waits_for_results(),
                or_(DeliveryRow.not_before.is_(None), DeliveryRow.not_before <= self.now()),
            )
            .order_by(JobRow.urgent.desc(), DeliveryRow.attempts > 0, DeliveryRow.id)
            .limit(1)
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

    def asked_for(self, job_id: str) -> frozenset[str]:
        """Return the destinations to which the job is due once more from the first try on.

        A person asked for that: other deliveries keep counting their tries.
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
        """Keep the lease for another `lease_seconds` from now.

        Raises:
            LeaseLost: Somebody took the delivery back, or its job was canceled.
        """
        until = self.now() + timedelta(seconds=lease_seconds)
        with self._writing() as session:
            self._change_held(session, delivery_id, fence, {"lease_until": until})

    def confirm_delivery(
        self, delivery_id: int, fence: int, *, read_back: bool | None = True
    ) -> JobState:
        """Note that the destination holds every object; return the job's state after it.

        Args:
            delivery_id: The delivery.
            fence: The claim in whose name this happens.
            read_back: Whether the objects were read back, or acknowledged only; None when none was of a
                kind that the destination gets.

        Raises:
            LeaseLost: Somebody else holds the delivery: nothing was written.
        """
        values = {
            "state": DeliveryState.CONFIRMED.value,
            "confirmed_at": self.now(),
            "last_error": "",
            "read_back": read_back,
        }
        return self._end_delivery(delivery_id, fence, values, words=_CONFIRMED[read_back])

    def fail_delivery(
        self, delivery_id: int, fence: int, error: str, *, trouble: Trouble | None = None
    ) -> JobState:
        """Note that this destination will never take the objects; return the job's state after it.

        Args:
            delivery_id: The delivery.
            fence: The claim in whose name this happens.
            error: What went wrong.
            trouble: What that showed of the destination; None when it showed nothing.

        Raises:
            LeaseLost: Somebody else holds the delivery: nothing was written.
        """
        values = {"state": DeliveryState.FAILED.value, **self._shown(trouble)}
        return self._end_delivery(delivery_id, fence, values, error=error)

    def _shown(self, trouble: Trouble | None) -> dict[str, Any]:
        return {"failed_at": self.now(), "trouble": trouble.value} if trouble else {}

    def fail_overdue(self, destination: str, before: datetime, error: str) -> int:
        """Note that deliveries that were due before this time were never taken; return how many.

        Those that a worker sends at this moment are left to it.
        """
        overdue = (
            DeliveryRow.destination == destination,
            DeliveryRow.state == DeliveryState.PENDING.value,
            DeliveryRow.created_at < before,
        )
        with self._reading() as session:
            chosen = select(DeliveryRow.id, DeliveryRow.fence).where(*overdue).limit(_MOST_OVERDUE)
            found = session.execute(chosen).all()
        values = {"state": DeliveryState.FAILED.value}
        for number, fence in found:
            # It may have been claimed or canceled meanwhile.
            with suppress(LeaseLost):
                self._end_delivery(number, fence, values, error=error, state=DeliveryState.PENDING)
        return len(found)

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
        """Note that it did not succeed now; it is due again after `delay` seconds.

        Args:
            delivery_id: The delivery.
            fence: The claim in whose name this happens.
            error: What went wrong; empty when the worker only stops, which counts no attempt.
            delay: Seconds until the next try.
            unlisted: The destination acknowledged objects and does not list them.
            trouble: What the error showed of the destination; None when it showed nothing.

        Raises:
            LeaseLost: Somebody else holds the delivery: nothing was written.
        """
        values: dict[str, Any] = {
            "state": DeliveryState.PENDING.value,
            "not_before": self.now() + timedelta(seconds=delay) if delay else None,
            "published_at": None,
        }
        with self._writing() as session:
            if error:
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
        words: str = "",
        state: DeliveryState = DeliveryState.SENDING,
        only: tuple[ColumnElement[bool], ...] = (),
    ) -> JobState:
        with self._writing() as session:
            row = session.get(DeliveryRow, delivery_id)
            if row is None:
                raise LeaseLost(f"delivery {delivery_id}: it is gone")
            # The job's row first: of two destinations that end at once, the second sees the first.
            job = session.get_one(JobRow, row.job_id, with_for_update=True)
            if error:
                values = values | self._delivery_errors(session, delivery_id, error)
            only = (*only, DeliveryRow.state == state.value)
            self._change_held(session, delivery_id, fence, values | NO_LEASE, only)
            action = "deliver" if not error else "deliver_failed"
            done = "the notice of doubt is there." if row.notice else words
            reason = f"{row.destination}: {error or done}"
            stands = JobState(job.state)
            actor = row.lease_owner or "service"
            self._event(session, job.id, action, actor, (stands, stands), reason)
            return stands if row.notice else self._settle(session, job.id, stands)

    def _settle(self, session: Session, job_id: str, state: JobState) -> JobState:
        """Complete or fail the job when no delivery is open any more.

        A job that was not analyzed has ended already: where its notice stands only its deliveries say.
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
        # Canceled with the job before it was sent again, to other destinations only.
        states = {DeliveryState(row.state) for row in found} - {DeliveryState.CANCELED}
        if states & {DeliveryState.PENDING, DeliveryState.SENDING}:
            return state
        if states == {DeliveryState.CONFIRMED}:
            confirmed = [row for row in found if row.state == DeliveryState.CONFIRMED.value]
            change = Change(actor="service", reason=_confirmed_by(confirmed))
            return self._move(session, job_id, state, Action.CONFIRM, change)
        failed = [row for row in found if row.state == DeliveryState.FAILED.value]
        words = " ".join(f"{row.destination}: {row.last_error}" for row in failed)
        values = {"last_error": words}
        change = Change(actor="service", code="NOT_DELIVERED", reason=words, values=values)
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
            raise LeaseLost(f"delivery {delivery_id}: claim {fence} holds it no longer")

    def _delivery_errors(self, session: Session, delivery_id: int, error: str) -> dict[str, Any]:
        row = session.get_one(DeliveryRow, delivery_id)
        return {"first_error": row.first_error or error, "last_error": error}

    def take_back_deliveries(self, now: datetime, *, owner: str | None = None) -> int:
        """Make due again what a worker was sending and sends no more; return how many that were.

        What has lost its worker several times in a row is FAILED: it may be what ends them.

        Args:
            now: Those whose lease ended before this time.
            owner: Instead all of this worker, which stops; that is no loss.
        """
        lost = owner is None
        ended = DeliveryRow.lease_until <= now if lost else DeliveryRow.lease_owner == owner
        sending = (DeliveryRow.state == DeliveryState.SENDING.value, ended)
        given_up = self._give_up(sending) if lost else 0
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

    def _give_up(self, sending: tuple[ColumnElement[bool], ...]) -> int:
        last = (*sending, DeliveryRow.lapses >= MAX_LAPSES - 1)
        with self._reading() as session:
            found = session.execute(select(DeliveryRow.id, DeliveryRow.fence).where(*last)).all()
        words = f"Its worker was lost {MAX_LAPSES} times in a row; the results may be what ends it."
        values = {"state": DeliveryState.FAILED.value, "lapses": MAX_LAPSES}
        for number, fence in found:
            # It may have extended its lease or ended meanwhile.
            with suppress(LeaseLost):
                self._end_delivery(number, fence, values, error=words, only=sending)
        return len(found)


def _waits_for_results() -> ColumnElement[bool]:
    """Return whether a notice's draft is still on its way to the same destination."""
    results = aliased(DeliveryRow)
    still = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)
    under_way = select(results.id).where(
        results.job_id == DeliveryRow.job_id,
        results.destination == DeliveryRow.destination,
        results.notice == "",
        results.state.in_(still),
    )
    return and_(DeliveryRow.notice != "", under_way.exists())


def _confirmed_by(found: Sequence[Row[*tuple[Any, ...]]]) -> str:
    """Return which destinations gave the results back, and which only acknowledged them."""
    read = [row.destination for row in found if row.read_back]
    only = [row.destination for row in found if row.read_back is False]
    none = [row.destination for row in found if row.read_back is None]
    parts = [f"Read back from {', '.join(read)}."] if read else []
    parts += [f"Acknowledged by {', '.join(only)}, not read back."] if only else []
    parts += [f"No result is of a kind for {', '.join(none)}."] if none else []
    return " ".join(parts)


def _claimed(delivery_id: int, fence: int) -> Update:
    return update(DeliveryRow).where(DeliveryRow.id == delivery_id, DeliveryRow.fence == fence)
