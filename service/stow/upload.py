"""Writes the body of one STOW-RS request to the spool; memory use does not depend on its length."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from dicom.dicomweb.multipart import InvalidMultipart, TooManyParts
from dicom.dicomweb.store_response import Outcome
from dicom.dicomweb.stow_request import Part, PartStream
from dicom.error_boundary import error_boundary
from dicom.errors import (
    PROCESSING_FAILURE,
    DicomError,
    InvalidIdentifier,
    OutOfResources,
    is_thread_exhaustion,
)
from dicom.identifiers import check_uid
from dicom.spool.incoming_file import Incoming
from service.log import get_logger

# Bytes that are written at once: each write costs a change of threads, and the bytes are held in memory.
_PIECE: Final = 512 * 2**10
# Parts of one request that are made durable at the same time, while others arrive.
_AT_ONCE: Final = 8
# Limit of the total wait for a sender: _WAIT_SECONDS, and 1 s more for each _LEAST_RATE bytes received.
_WAIT_SECONDS: Final = 60.0
_LEAST_RATE: Final = 10_000

log = get_logger(__name__)


class Keep(Protocol):
    """Makes a data set durable and records it, or raises DicomError (`Ingest.store`)."""

    def __call__(self, incoming: Incoming) -> object:
        """Return when the data set may be acknowledged."""


class Upload:
    """Reads one request to its end."""

    def __init__(
        self,
        parts: PartStream,
        *,
        keep: Keep,
        interrupted: Callable[[], None],
        max_bytes: int,
    ) -> None:
        """Take the parser, what stores a part, and what is called if the body is not read to its end."""
        self._parts = parts
        self._keep = keep
        self._interrupted = interrupted
        self._max_bytes = max_bytes
        self._advancing: asyncio.Task[None] | None = None
        self._come: deque[Part] = deque()  # complete, not yet being stored
        self._tasks: list[asyncio.Task[Outcome]] = []
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._limiter = CapacityLimiter(_AT_ONCE)

    async def run(self, request: Request) -> list[Outcome]:
        """Store every part; return the outcome of each, in their order.

        Raises:
            HTTPException: The body is malformed, empty, too long or too slow; parts that were complete
                before the fault are kept, nothing else is.
            ClientDisconnect: The sender closed the connection.
        """
        whole = False
        try:
            async for pieces in self._pieces(request):
                await self._take(pieces)
            self._parts.end()
            whole = bool(self._tasks)
            if not whole:
                raise HTTPException(400, "The body has no part.")
        except TooManyParts as error:
            raise HTTPException(413, f"{error}.") from None
        except InvalidMultipart as error:
            raise HTTPException(400, f"{error}.") from None
        finally:
            await self._close()
            if not whole:
                await run_in_threadpool(self._interrupted)
        return [task.result() for task in self._tasks]

    async def _close(self) -> None:
        """Discard every part that is not being stored, and wait for those that are."""
        if self._advancing is not None:
            # A stop cancels the request but not its thread, which uses the open file until it returns.
            await asyncio.wait([self._advancing])
        self._parts.discard()
        for part in self._come:
            _discard(part)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _pieces(self, request: Request) -> AsyncIterator[list[bytes]]:
        """Yield the body as lists of pieces, about `_PIECE` bytes in each list."""
        gathered: list[bytes] = []
        received, given, waited, more = 0, 0, 0.0, True
        while more:
            began = time.monotonic()
            try:
                async with asyncio.timeout(_WAIT_SECONDS + received / _LEAST_RATE - waited):
                    message = await request.receive()
            except TimeoutError:
                raise HTTPException(408, "The body was received too slowly.") from None
            waited += time.monotonic() - began
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            gathered.append(message.get("body", b""))
            received += len(gathered[-1])
            more = message.get("more_body", False)
            if received > self._max_bytes:
                raise HTTPException(413, f"Send at most {self._max_bytes} bytes in one request.")
            if received - given >= _PIECE or not more:
                yield gathered
                gathered, given = [], received

    async def _take(self, pieces: list[bytes]) -> None:
        self._parts.feed(*pieces)
        more = True
        while more:
            self._advancing = asyncio.create_task(run_in_threadpool(self._advance))
            await asyncio.shield(self._advancing)
            more = bool(self._come)
            while self._come:
                await self._slots.acquire()
                self._tasks.append(asyncio.create_task(self._kept(self._come.popleft())))

    def _advance(self) -> None:
        self._parts.advance(_AT_ONCE, self._come)

    async def _kept(self, part: Part) -> Outcome:
        try:
            return await to_thread.run_sync(self._store, part, limiter=self._limiter)
        except RuntimeError as error:
            _discard(part)
            if not is_thread_exhaustion(error):
                raise
            fault = OutOfResources("no thread can be started")
            log.warning("object_refused", status=f"0x{fault.status:04X}", reason=str(fault))
            return _outcome(part, fault.status, fault.transient)
        finally:
            self._slots.release()

    def _store(self, part: Part) -> Outcome:
        """Return the outcome of a part; an unexpected error counts as a processing failure."""
        try:
            reason, transient = error_boundary(
                lambda: self._verdict(part), (PROCESSING_FAILURE, False), lambda: "STOW-RS"
            )
        finally:
            _discard(part)
        return _outcome(part, reason, transient)

    def _verdict(self, part: Part) -> tuple[int, bool]:
        """Store a part; return its failure reason, 0 if stored, and whether the failure is transient."""
        try:
            if part.fault is not None:
                raise part.fault
            if part.incoming is not None:
                self._keep(part.incoming)
        except DicomError as error:
            log.warning("object_refused", status=f"0x{error.status:04X}", reason=str(error))
            return error.status, error.transient
        return 0, False


def _discard(part: Part) -> None:
    if part.incoming is not None:
        part.incoming.discard()


def _outcome(part: Part, reason: int, transient: bool) -> Outcome:
    announced = part.incoming.announced if part.incoming else None
    named = announced and _valid(announced.sop_class_uid, announced.sop_instance_uid)
    class_uid, instance_uid = named or ("", "")
    return Outcome(
        sop_class_uid=class_uid,
        sop_instance_uid=instance_uid,
        failure_reason=reason,
        transient=transient,
    )


def _valid(class_uid: str, instance_uid: str) -> tuple[str, str] | None:
    """Return the UIDs of a part, or None if one is invalid and must not stand in the response."""
    try:
        return check_uid(class_uid), check_uid(instance_uid)
    except InvalidIdentifier:
        return None
