"""Claims of requests on their idempotency keys; `append` marks them in the transaction of the change."""

from datetime import datetime, timedelta
from typing import Final, cast

from sqlalchemy import ColumnElement, Connection, Delete, Table, and_, delete, func, select, update
from sqlalchemy.orm import Session

from service.database.request_tables import IdempotencyKeyRow
from service.idempotency import (
    CLAIM_SECONDS,
    KEPT,
    KeyConflict,
    RequestClaim,
    RequestKey,
    StoredResponse,
)
from service.store.session import Transactions
from service.store.statements.arrivals import insert_or_ignore

_TABLE: Final = cast("Table", IdempotencyKeyRow.__table__)
_OTHER: Final = "this Idempotency-Key belongs to another request: use a new key"
_RUNNING: Final = "a request with this Idempotency-Key is being carried out: send it again"
_LOST: Final = (
    "the request with this Idempotency-Key was begun and at least partly carried out, but its response "
    "was not stored: read the state, then use a new key if something is still to be done"
)
_TAKEN_OVER: Final = "a repetition of this request was carried out in its place"


class RequestClaims(Transactions):
    """The part of the store for idempotency keys."""

    def claim_request(self, request: RequestKey) -> RequestClaim | StoredResponse:
        """Return the right to act, or the response of the first request with this key.

        Raises:
            KeyConflict: The key belongs to another request, or the first one has not ended.
        """
        now = self.now()
        with self._writing() as session:
            session.execute(_expired(now))
            if self._inserted(session, request, now):
                return RequestClaim(principal=request.principal, key=request.key, fence=1)
            found = session.scalars(
                select(IdempotencyKeyRow)
                .where(
                    IdempotencyKeyRow.principal == request.principal,
                    IdempotencyKeyRow.key == request.key,
                )
                .with_for_update()
            ).one_or_none()
            if found is None:  # released between the two statements
                raise KeyConflict(_RUNNING, retry_after=1)
            return _again(found, request.digest, now)

    def finish_request(self, claim: RequestClaim, response: StoredResponse) -> None:
        """Store the response of a request that has acted; without effect if the claim is void."""
        ended = update(IdempotencyKeyRow).where(_own(claim))
        with self._writing() as session:
            session.execute(ended.values(status=response.status, response=response.body))

    def release_request(self, claim: RequestClaim) -> None:
        """Free the key of a request that was refused, so that it can be sent again."""
        unused = and_(_own(claim), IdempotencyKeyRow.acted_at.is_(None))
        with self._writing() as session:
            session.execute(delete(IdempotencyKeyRow).where(unused))

    def forget_requests(self) -> None:
        """Remove keys and responses that were kept long enough, also where no further request comes."""
        now = self.now()
        expired = select(IdempotencyKeyRow.key).where(IdempotencyKeyRow.claimed_at < now - KEPT)
        with self._reading() as session:
            if session.scalar(expired.limit(1)) is None:
                return
        with self._writing() as session:
            session.execute(_expired(now))

    def _inserted(self, session: Session, request: RequestKey, now: datetime) -> bool:
        statement = insert_or_ignore(self._engine.dialect, _TABLE).values(
            principal=request.principal,
            key=request.key,
            digest=request.digest,
            fence=1,
            claimed_at=now,
        )
        return session.execute(statement.returning(_TABLE.c.fence)).first() is not None


def note_acted(session: Session | Connection, claim: RequestClaim, now: datetime) -> None:
    """Mark in the transaction of a change that the request has acted.

    Raises:
        KeyConflict: A repetition has taken the key over: this transaction must not be committed.
    """
    noted = update(IdempotencyKeyRow).where(_own(claim))
    first = func.coalesce(IdempotencyKeyRow.acted_at, now)
    marked = session.execute(
        noted.values(acted_at=first).returning(IdempotencyKeyRow.fence),
        execution_options={"synchronize_session": False},
    )
    if marked.first() is None:
        raise KeyConflict(_TAKEN_OVER, retry_after=1)


def _again(found: IdempotencyKeyRow, digest: str, now: datetime) -> RequestClaim | StoredResponse:
    if found.digest != digest:
        raise KeyConflict(_OTHER)
    if found.status is not None:
        return StoredResponse(status=found.status, body=found.response or "")
    if now - found.claimed_at < timedelta(seconds=CLAIM_SECONDS):
        raise KeyConflict(_RUNNING, retry_after=1)
    if found.acted_at is not None:
        raise KeyConflict(_LOST)
    found.fence, found.claimed_at = found.fence + 1, now
    return RequestClaim(principal=found.principal, key=found.key, fence=found.fence)


def _expired(now: datetime) -> Delete:
    return delete(IdempotencyKeyRow).where(IdempotencyKeyRow.claimed_at < now - KEPT)


def _own(claim: RequestClaim) -> ColumnElement[bool]:
    return and_(
        IdempotencyKeyRow.principal == claim.principal,
        IdempotencyKeyRow.key == claim.key,
        IdempotencyKeyRow.fence == claim.fence,
    )
