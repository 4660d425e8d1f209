"""`/read/by-accession`, `/read/by-study`: from a link of the RIS to the page of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from pydicom.datadict import tag_for_keyword
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dicom.errors import DicomError, InvalidIdentifier
from dicom.identifiers import check_uid
from dicom.parsing.header import read_header
from service.audit import AuditAction
from service.errors import NotFound
from service.records import Job, JobWithDraft
from service.settings.advice import cautions
from service.store import Store
from service.study_identity import StudyIdentity
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit, audit_view
from service.web.render import page, root_of
from service.web.review.patients import as_patient, patient_of
from service.web.status.status_text import state_reason
from service.web.study_view import study_record

_LONGEST: Final = 64
_MOST_FOUND: Final = 20
_AUDITED: Final = "a link with an accession number"
_ISSUER: Final = "IssuerOfAccessionNumberSequence"
_ISSUER_TAG: Final = frozenset({tag_for_keyword(_ISSUER) or 0})
# Of an item of the sequence (PS3.3 table 10-17): the issuer's name or its universal identifier.
_ISSUER_NAMES: Final = ("LocalNamespaceEntityID", "UniversalEntityID")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A study without a draft that can be shown; `job` is its newest job, if it has any."""

    uid: str
    job: JobWithDraft | None


async def by_accession(request: Request) -> Response:
    """Answer with the study of an accession number, or with the studies to choose from."""
    number, issuer = _text(request, "accession"), _text(request, "issuer")
    if not number:
        raise HTTPException(400, "The link has no accession number: give accession=….")
    here = app_context_of(request)
    found = await run_in_threadpool(_with_accession, here.store, number, issuer)
    only = found[0].study_uid if len(found) == 1 else ""
    await audit(request, AuditAction.SEARCHED, study_uid=only, detail=_AUDITED)
    if not found:
        raise NotFound(_none(number, issuer))
    return await _study(request, only) if only else await _choice(request, found)


async def by_study(request: Request) -> Response:
    """Answer with a study by its Study Instance UID: its draft, or why there is none."""
    try:
        uid = check_uid(_text(request, "study"), "Study Instance UID")
    except InvalidIdentifier:
        raise HTTPException(
            400, "The link has no valid Study Instance UID: give study=…."
        ) from None
    return await _study(request, uid)


def _text(request: Request, name: str) -> str:
    """Return a parameter without leading and trailing spaces, "" without it.

    Raises:
        HTTPException: 400, it cannot be a value of VR SH or LO (PS3.5 6.2).
    """
    value = request.query_params.get(name, "").strip()
    if len(value) > _LONGEST or not value.isprintable():
        message = f"{name}: at most {_LONGEST} characters, without control characters."
        raise HTTPException(400, message)
    return value


def _none(number: str, issuer: str) -> str:
    of = f" of the issuer {issuer}" if issuer else ""
    return (
        f"No study with the accession number {number}{of} is stored here. Check the number in the link; "
        "a study appears some seconds after its first image has arrived, and is removed after the "
        "retention period."
    )


def _with_accession(store: Store, number: str, issuer: str) -> list[StudyIdentity]:
    """Return the studies of an accession number; with an issuer those that do not name another one."""
    found = store.identities_with_accession(number, limit=_MOST_FOUND)
    if not issuer:
        return found
    named = {each.study_uid: _issuers(store, each.study_uid) for each in found}
    same = [each for each in found if issuer in named[each.study_uid]]
    return same or [each for each in found if not named[each.study_uid]]


def _issuers(store: Store, study_uid: str) -> frozenset[str]:
    """Return the names of the issuer of a study's accession number; none if no header states one."""
    readable = [each for each in store.instances(study_uid) if not each.conflict]
    if not readable:
        return frozenset()
    try:
        header = read_header(readable[0].path, only=_ISSUER_TAG, strict=False)
    except (DicomError, OSError):
        return frozenset()
    items = header.get(_ISSUER) or ()
    names = {str(item.get(name) or "").strip() for item in items for name in _ISSUER_NAMES}
    return frozenset(names - {""})


async def _choice(request: Request, found: Sequence[StudyIdentity]) -> Response:
    studies = [(_again(each.study_uid), as_patient(each)) for each in found]
    return HTMLResponse(_page(request, "review/by_link_choice.html", studies=studies))


async def _study(request: Request, uid: str) -> Response:
    """Redirect to the study's draft; without one, answer with the state of the study and why."""
    here = app_context_of(request)
    found = await run_in_threadpool(_draft_or_state, here.store, uid)
    if isinstance(found, str):
        return RedirectResponse(f"{root_of(request.url.path)}read/{found}", status_code=303)
    html = await run_in_threadpool(_state_html, request, here, found)
    await audit_view(request, uid, found.job.id if found.job else "")
    return HTMLResponse(html)


def _draft_or_state(store: Store, uid: str) -> str | _Found:
    """Return the id of the job whose draft is to be read, or the study without one.

    Raises:
        NotFound: No image of the study was received.
    """
    record = study_record(store, uid)
    drafted = [each for each in record.jobs if each.has_draft and not each.hides_draft]
    # The one that no other supersedes, if there is one; else the newest.
    chosen: Job | None = min(drafted, key=lambda each: each.superseded_by is not None, default=None)
    if chosen is not None and store.job(chosen.id).draft is not None:
        return chosen.id
    return _Found(uid=uid, job=record.job)


def _state_html(request: Request, here: AppContext, found: _Found) -> str:
    job = found.job
    deliveries = here.store.deliveries(job.id) if job else ()
    reason = state_reason(job, deliveries, here.observer.situation()) if job else None
    return _page(
        request,
        "review/by_link.html",
        patient=patient_of(here.store, found.uid),
        job=job,
        reason=reason,
        study_uid=found.uid,
        again=_again(found.uid),
    )


def _again(uid: str) -> str:
    return f"by-study?{urlencode({'study': uid})}"


def _page(request: Request, name: str, **values: Any) -> str:  # noqa: ANN401 - of the template
    settings = app_context_of(request).settings
    return page(
        name,
        root=root_of(request.url.path),
        site_name=settings.site_name,
        cautions=cautions(settings),
        **values,
    )
