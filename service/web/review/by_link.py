"""`/read/by-accession`, `/read/by-study`: from a link of the RIS to the page of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid
from service.audit import AuditAction
from service.errors import NotFound
from service.records import JobWithDraft, first_to_read
from service.settings.advice import cautions
from service.store import Store
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit, audit_view
from service.web.render import page, root_of
from service.web.review.accession_issuers import Candidate, of_issuer
from service.web.review.patients import as_patient, patient_of
from service.web.status.status_text import state_reason
from service.web.study_view import study_record

_LONGEST: Final = 64
# The database keeps 64 characters of a header's value: one of 64 may have been longer.
_LONGEST_NUMBER: Final = 63
_MOST_COMPARED: Final = 100  # of each the headers are read if the link names an issuer
_AUDITED: Final = "a link with an accession number"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """The studies that a link may mean; `is_cut`: more have its number, which were not compared."""

    studies: Sequence[Candidate]
    is_cut: bool

    @property
    def only(self) -> str:
        """The study to open at once; "" if a person has to choose."""
        is_sure = len(self.studies) == 1 and self.studies[0].is_sure and not self.is_cut
        return self.studies[0].identity.study_uid if is_sure else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A study without a draft that can be shown; `job` is its newest job, if it has any."""

    uid: str
    job: JobWithDraft | None


async def by_accession(request: Request) -> Response:
    """Answer with the study of an accession number, or with the studies to choose from."""
    number, issuer = _text(request, "accession", _LONGEST_NUMBER), _text(request, "issuer")
    if not number:
        raise HTTPException(400, "The link has no accession number: give accession=….")
    here = app_context_of(request)
    found = await run_in_threadpool(_with_accession, here.store, number, issuer)
    await audit(request, AuditAction.SEARCHED, study_uid=found.only, detail=_AUDITED)
    if not found.studies:
        raise NotFound(_none(number, issuer, is_cut=found.is_cut))
    return await _study(request, found.only) if found.only else _chooser(request, found)


async def by_study(request: Request) -> Response:
    """Answer with a study by its Study Instance UID: its draft, or why there is none."""
    try:
        uid = check_uid(_text(request, "study"), "Study Instance UID")
    except InvalidIdentifier:
        raise HTTPException(
            400, "The link has no valid Study Instance UID: give study=…."
        ) from None
    return await _study(request, uid)


def _text(request: Request, name: str, longest: int = _LONGEST) -> str:
    """Return a parameter without leading and trailing spaces, "" without it.

    Raises:
        HTTPException: 400, it cannot be a value of VR SH or LO (PS3.5 6.2).
    """
    value = request.query_params.get(name, "").strip()
    if len(value) > longest or not value.isprintable():
        message = f"{name}: at most {longest} characters, without control characters."
        raise HTTPException(400, message)
    return value


def _none(number: str, issuer: str, *, is_cut: bool) -> str:
    of = f" of the issuer {issuer}" if issuer else ""
    if is_cut:
        return (
            f"More than {_MOST_COMPARED} studies with the accession number {number} are stored here. "
            f"The newest {_MOST_COMPARED} are not{of}; the others were not compared: search the study "
            "by the patient."
        )
    return (
        f"No study with the accession number {number}{of} is stored here. Check the number in the link; "
        "a study appears some seconds after its first image has arrived, and is removed after the "
        "retention period."
    )


def _with_accession(store: Store, number: str, issuer: str) -> _Choice:
    found = store.identities_with_accession(number, limit=_MOST_COMPARED + 1)
    compared = of_issuer(store, found[:_MOST_COMPARED], issuer)
    return _Choice(studies=compared, is_cut=len(found) > _MOST_COMPARED)


def _chooser(request: Request, found: _Choice) -> Response:
    studies = [
        (
            _again(each.identity.study_uid),
            as_patient(each.identity),
            "" if each.is_sure else each.match,
        )
        for each in found.studies
    ]
    html = _page(
        request,
        "review/by_link_choice.html",
        studies=studies,
        most=_MOST_COMPARED if found.is_cut else 0,
    )
    return HTMLResponse(html)


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
    chosen = first_to_read(each for each in record.jobs if not each.hides_draft)
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
