"""Deliveries that wait for each destination, and incidents of destinations that do not take them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.database.tables import DeliveryRow, IncidentRow
from service.destination_backlog import Backlog, Pause, Trouble
from service.jobs import DeliveryState
from service.records import IncidentKind
from service.store.network.pauses import pauses_in_force
from service.store.probe_exclusion import not_of_a_probe
from service.store.session import Transactions

_AWAY: Final = IncidentKind.DESTINATION_AWAY
_BACK: Final = IncidentKind.DESTINATION_BACK
_OPEN: Final = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)
# Number of the advisory lock for these incidents: of several sweepers only one records each.
_NOTING: Final = 0x574550


class Backlogs(Transactions):
    """The state of the destinations; each query reads an index, not the whole table."""

    def backlogs(self, names: Iterable[str]) -> list[Backlog]:
        """Return the state of these destinations, and of others that are paused or awaited, by name."""
        configured = set(names)
        with self._reading() as session:
            waiting, pauses = self._waiting(session), pauses_in_force(session)
            return [
                self._backlog(
                    session,
                    name,
                    waiting.get(name),
                    configured=name in configured,
                    pause=pauses.get(name),
                )
                for name in sorted(configured | waiting.keys() | pauses.keys())
            ]

    def _waiting(self, session: Session) -> dict[str, tuple[int, datetime]]:
        found = session.execute(
            select(DeliveryRow.destination, func.count(), func.min(DeliveryRow.created_at))
            .where(DeliveryRow.state.in_(_OPEN), not_of_a_probe(DeliveryRow.job_id))
            .group_by(DeliveryRow.destination)
        )
        return {name: (count, oldest) for name, count, oldest in found}

    def _backlog(
        self,
        session: Session,
        name: str,
        waiting: tuple[int, datetime] | None,
        *,
        configured: bool,
        pause: Pause | None,
    ) -> Backlog:
        count, oldest = waiting or (0, None)
        succeeded = session.scalar(
            select(func.max(DeliveryRow.confirmed_at)).where(
                DeliveryRow.destination == name, DeliveryRow.confirmed_at.is_not(None)
            )
        )
        failure = session.execute(
            select(
                DeliveryRow.failed_at,
                DeliveryRow.trouble,
                DeliveryRow.last_error,
                DeliveryRow.not_before,
            )
            .where(DeliveryRow.destination == name, DeliveryRow.failed_at.is_not(None))
            .order_by(DeliveryRow.failed_at.desc())
            .limit(1)
        ).first()
        failed_at, trouble, error, next_try = failure or (None, "", "", None)
        tried = session.scalar(
            select(func.min(DeliveryRow.created_at)).where(
                DeliveryRow.destination == name,
                DeliveryRow.state.in_(_OPEN),
                DeliveryRow.last_error != "",
                not_of_a_probe(DeliveryRow.job_id),
            )
        )
        return Backlog(
            destination=name,
            waiting=count,
            oldest_at=oldest,
            succeeded_at=succeeded,
            failed_at=failed_at,
            trouble=Trouble(trouble) if trouble else None,
            last_error=error,
            tried_since=tried,
            next_try_at=next_try,
            configured=configured,
            pause=pause,
        )

    def note_outage(self, name: str, *, away: bool, actor: str, detail: str) -> bool:
        """Record an incident: results wait too long for a destination, or it takes them again.

        Returns:
            Whether it was recorded. It is not if the destination's latest incident says the same, or
            if `away` is False and the destination was not away.
        """
        latest = (
            select(IncidentRow.kind)
            .where(IncidentRow.subject == name, IncidentRow.kind.in_((_AWAY.value, _BACK.value)))
            .order_by(IncidentRow.id.desc())
            .limit(1)
        )
        with self._writing() as session:
            self._exclusive(session, _NOTING)
            if (session.scalar(latest) == _AWAY) is away:
                return False
            kind = _AWAY if away else _BACK
            self._incident(session, kind, actor=actor, subject=name, detail=detail)
            return True
