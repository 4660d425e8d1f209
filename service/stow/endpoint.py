"""STOW-RS (PS3.18 10.5): receives Instances by HTTP, as durable when acknowledged as by C-STORE.

    token ─▶ calling AE ─▶ ready? ─▶ body, piece by piece ─▶ parts ─▶ stored, 8 at a time ─▶ response

A request counts as an association: its studies are complete when it is answered. Everything that does
not need the body is checked before the body is read; the body is written to the spool as it arrives.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dicom.dicomweb.multipart import (
    InvalidMultipart,
    MultipartLimits,
    MultipartReader,
    check_boundary,
    media_type,
)
from dicom.dicomweb.store_response import JSON, XML, Outcome, encode, make_response
from dicom.dicomweb.stow_request import MEDIA_TYPE, PartStream
from dicom.errors import DicomError, InvalidIdentifier, UnsupportedSOPClass
from dicom.errors import UnsupportedTransferSyntax as UnsupportedSyntax
from dicom.identifiers import check_uid
from dicom.scp.presentation_contexts import DOCUMENT_CLASSES, STORAGE_CLASSES, TRANSFER_SYNTAXES
from dicom.scp.refusals import Cause, NotAccepted, instance_cause
from dicom.spool.incoming_file import Announced, Incoming
from dicom.spool.ingest import IncomingAssociation, Ingest
from dicom.spool.spool import Spool
from service.log import get_logger
from service.receiver.association_counts import AssociationCounts
from service.receiver.refusals import Refusals
from service.receiver.storage_service import StorageService
from service.settings.config import Settings
from service.settings.keys.stow import Stow
from service.stow.upload import Upload
from service.tokens import Scope, Token
from service.web.access.bearer import TokenAuthorizer

RETRY_AFTER: Final = "10"
_COUNTED: Final = (UnsupportedSOPClass.status, UnsupportedSyntax.status)

log = get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class StowContext:
    """What the requests share; `running` counts those whose body is being read.

    `watch_fault` is a sentence while reloading the calling AEs or checking the database fails, else "".
    """

    settings: Settings
    spool: Spool
    keeper: Ingest
    reception: StorageService
    authorizer: TokenAuthorizer
    refusals: Refusals
    associations: AssociationCounts
    running: int = 0
    watch_fault: str = ""
    accepted: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Set the SOP Classes that are accepted."""
        configured = self.settings.receiver.storage_classes
        self.accepted = frozenset({*STORAGE_CLASSES, *DOCUMENT_CLASSES, *configured})

    def refusal(self) -> str:
        """Return why no Instance is accepted now, a sentence, or ""; the same rule as for C-STORE."""
        refusal = self.reception.refusal
        return f"{refusal[0].upper()}{refusal[1:]}." if refusal else ""

    def announced(self, association: IncomingAssociation, announced: Announced) -> Incoming:
        """Return the spool file for a data set; if it is refused already, nothing of it is written."""
        refused: DicomError | None = None
        if announced.sop_class_uid not in self.accepted:
            self._count(association, announced, Cause.SOP_CLASS)
            refused = UnsupportedSOPClass("the SOP Class is not accepted here")
        elif announced.transfer_syntax_uid not in TRANSFER_SYNTAXES:
            self._count(association, announced, Cause.TRANSFER_SYNTAX)
            refused = UnsupportedSyntax("the transfer syntax is not accepted here")
        else:
            refused = self.reception.unavailable(association)
        return self.spool.receive(announced, refused=refused)

    def count_refused(self, association: IncomingAssociation, outcomes: Sequence[Outcome]) -> None:
        """Count the Instances of a request that were refused."""
        for each in outcomes:
            # `announced` has counted those of another SOP Class or transfer syntax.
            if each.failure_reason in {0, *_COUNTED}:
                continue
            self.refusals.add(
                NotAccepted(
                    cause=instance_cause(each.failure_reason),
                    calling_ae=association.calling_ae,
                    address=association.address,
                    sop_class_uid=each.sop_class_uid,
                )
            )

    def _count(self, association: IncomingAssociation, announced: Announced, cause: Cause) -> None:
        self.refusals.add(
            NotAccepted(
                cause=cause,
                calling_ae=association.calling_ae,
                address=association.address,
                sop_class_uid=announced.sop_class_uid,
            )
        )


async def store_instances(request: Request) -> Response:
    """Answer with a Store Instances Response; a study in the URL is the only one that is accepted."""
    context: StowContext = request.app.state.stow_context
    token = await context.authorizer.authorize(request.scope, Scope.STOW)
    if isinstance(token, Response):
        return token
    try:
        return await _store(request, context, token)
    except HTTPException as error:
        log.warning(
            "request_refused", token=token.name, status=error.status_code, reason=error.detail
        )
        raise
    except ClientDisconnect:
        log.warning("request_aborted", token=token.name)
        return Response(status_code=400)  # the client is gone: not delivered


async def _store(request: Request, context: StowContext, token: Token) -> Response:
    study = _study(request)
    association = await _admitted(context, request, token)
    boundary = _boundary(request.headers)
    _check_length(request.headers, context.settings.stow)
    await run_in_threadpool(_check_ready, context)
    if context.running >= context.settings.stow.max_requests:
        raise _busy("Too many requests at the same time.")
    context.running += 1
    try:
        outcomes = await _upload(context, association, boundary, study).run(request)
        context.count_refused(association, outcomes)
        await run_in_threadpool(context.refusals.write)
    finally:
        context.running -= 1
    return _answer(request, context, association, outcomes)


def _upload(
    context: StowContext, association: IncomingAssociation, boundary: str, study: str
) -> Upload:
    stow = context.settings.stow
    reader = MultipartReader(boundary, MultipartLimits(max_parts=stow.max_parts))
    return Upload(
        PartStream(reader, partial(context.announced, association), association.calling_ae),
        keep=partial(context.keeper.store, association=association, study_instance_uid=study),
        interrupted=partial(context.reception.association_ended, association, "aborted"),
        max_bytes=stow.max_request_bytes,
    )


def _study(request: Request) -> str:
    uid = request.path_params.get("study_uid", "")
    try:
        return check_uid(uid, "Study Instance UID") if uid else ""
    except InvalidIdentifier:
        raise HTTPException(400, "The address has no valid Study Instance UID.") from None


async def _admitted(context: StowContext, request: Request, token: Token) -> IncomingAssociation:
    """Return the request as an association of its token's AE title, or raise 403 if it may not send."""
    association = IncomingAssociation(
        id=uuid.uuid4().hex,
        calling_ae=token.ae_title,
        called_ae=context.settings.receiver.ae_title,
        address=request.client.host if request.client else "",
    )
    if await run_in_threadpool(context.reception.admit, association) is not None:
        raise HTTPException(403, "The token's AE title may not send from here; the log says why.")
    return association


def _boundary(headers: Mapping[str, str]) -> str:
    """Return the boundary of a multipart/related body of PS3.10 files (PS3.18 8.7.1, 10.5.1)."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Send the body without a content encoding.")
    try:
        kind, parameters = media_type(headers.get("content-type", ""))
        parts_are = media_type(parameters.get("type", ""))[0]
    except InvalidMultipart:
        kind, parts_are, parameters = "", "", {}
    if kind != "multipart/related" or parts_are != MEDIA_TYPE:
        raise HTTPException(415, f'Send multipart/related; type="{MEDIA_TYPE}".')
    try:
        return check_boundary(parameters.get("boundary", ""))
    except InvalidMultipart as error:
        raise HTTPException(400, f"{error}.") from None


def _check_length(headers: Mapping[str, str], stow: Stow) -> None:
    if int(headers.get("content-length", "0")) > stow.max_request_bytes:
        raise HTTPException(413, f"Send at most {stow.max_request_bytes} bytes in one request.")


def _check_ready(context: StowContext) -> None:
    if refusal := context.refusal():
        raise _busy(refusal)


def _busy(message: str) -> HTTPException:
    return HTTPException(503, message, headers={"Retry-After": RETRY_AFTER})


def _answer(
    request: Request,
    context: StowContext,
    association: IncomingAssociation,
    outcomes: list[Outcome],
) -> Response:
    """Return the response; once it is sent, the studies that are now complete become jobs."""
    media_type = XML if XML in request.headers.get("accept", "") else JSON
    status = _status(outcomes)
    return Response(
        encode(make_response(outcomes), media_type),
        status,
        headers={"Retry-After": RETRY_AFTER} if status == 503 else None,
        media_type=media_type,
        background=BackgroundTask(context.reception.association_ended, association, "released"),
    )


def _status(outcomes: list[Outcome]) -> int:
    """Return the status of PS3.18 table 10.5.3-1; 503 if every part failed for a transient reason."""
    failed = [each for each in outcomes if each.failure_reason]
    if not failed:
        return 200
    if len(failed) < len(outcomes):
        return 202
    return 503 if all(each.transient for each in failed) else 409
