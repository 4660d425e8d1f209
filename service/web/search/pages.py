"""`/search` and `/studies/{uid}/similar`: studies by words, and studies with similar images.

Each search is audited. No patient is named: a result leads to the page of its study.
Kept final reports are searched and shown for radiologists and admins only.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from service.accounts import Role
from service.audit import AuditAction
from service.errors import NotFound, VectorFileDamaged
from service.search import described
from service.search.query import LONGEST, TextQuery
from service.search.similar import FoundStudy, SearchResult
from service.search.text_tower import NumpyTextTower
from service.search.words import similarity_words
from service.settings.advice import cautions
from service.web.access.current import has_role
from service.web.api import study_uid_of
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit
from service.web.render import page, root_of

_AREA: Final = "search"
_IN_TEXTS: Final = "texts"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """A found study as the page shows it.

    Attributes:
        similarity: How close its image is, in words; "" if it was found by its text.
        cosine: The number behind it.
        status: What a reader must know of the draft, or "".
        impression: Of the final report or the accepted text, or "".
    """

    url: str
    day: str
    similarity: str
    cosine: str
    same_patient: bool
    status: str
    findings: str
    decision: str
    impression: str


async def similar_page(request: Request) -> Response:
    """Answer with the studies whose images are similar to that of a study."""
    here, uid = app_context_of(request), study_uid_of(request)
    if not await run_in_threadpool(here.store.instances, uid):
        raise NotFound("No image of this study has been received.")
    await audit(request, AuditAction.SEARCHED, study_uid=uid, detail="similar studies")
    try:
        search = partial(here.search.similar_to, shows_reports=_sees_reports(request))
        found = await run_in_threadpool(search, uid)
    except VectorFileDamaged as error:
        raise _unusable(error) from error
    return _answer(request, here, found, study_uid=uid)


async def search_page(request: Request) -> Response:
    """Answer with the box for a search by words, and with what was found."""
    here = app_context_of(request)
    text = request.query_params.get("q", "")[:LONGEST].strip()
    if not text:
        return _answer(request, here, SearchResult())
    await audit(request, AuditAction.SEARCHED, detail="studies by words")
    try:
        tower = await run_in_threadpool(here.search.image_text_tower)
    except VectorFileDamaged as error:
        raise _unusable(error) from error
    if tower is None or request.query_params.get("in") == _IN_TEXTS:
        query = TextQuery.of(text)
        search = partial(here.search.with_text, shows_reports=_sees_reports(request))
        found = await run_in_threadpool(search, query)
        return _answer(request, here, found, text=text, query=query, has_tower=tower is not None)
    by_tower = partial(_by_tower, shows_reports=_sees_reports(request))
    found = await run_in_threadpool(by_tower, here, tower, text)
    return _answer(request, here, found, text=text, has_tower=True)


def _sees_reports(request: Request) -> bool:
    """Return whether the person may see kept final reports: they hold more than viewers need."""
    return has_role(request, Role.RADIOLOGIST, Role.ADMIN)


def _by_tower(
    here: AppContext, tower: tuple[str, NumpyTextTower], text: str, *, shows_reports: bool
) -> SearchResult:
    space, encoder = tower
    return here.search.similar_to_vector(space, encoder.vector(text), shows_reports=shows_reports)


def _unusable(error: VectorFileDamaged) -> HTTPException:
    return HTTPException(503, f"Similar studies cannot be searched: {error}.")


def _answer(
    request: Request,
    here: AppContext,
    found: SearchResult,
    *,
    study_uid: str = "",
    text: str = "",
    query: TextQuery | None = None,
    has_tower: bool = False,
) -> Response:
    root = root_of(request.url.path)
    html = page(
        "search/results.html",
        root=root,
        area=_AREA,
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        caution=described.CAUTION,
        study_uid=study_uid,
        text=text,
        longest=LONGEST,
        asked=[str(each) for each in query.findings] if query else [],
        found=found,
        sees_reports=_sees_reports(request),
        other_search=_other_search(text, by_texts=query is not None) if has_tower else "",
        rows=[_row(each, root, found.compared) for each in found.studies],
    )
    return HTMLResponse(html)


def _other_search(text: str, *, by_texts: bool) -> str:
    """Return the address of the same search in the texts, or in the images, as the other is shown."""
    return f"search?{urlencode({'q': text} if by_texts else {'q': text, 'in': _IN_TEXTS})}"


def _row(found: FoundStudy, root: str, compared: int) -> ResultRow:
    near = found.neighbor
    return ResultRow(
        url=f"{root}studies/{found.study_uid}",
        day=found.day,
        similarity=similarity_words(near, compared) if near else "",
        cosine=f"{near.cosine:.3f}" if near else "",
        same_patient=found.same_patient,
        status=described.status_words(found),
        findings=", ".join(described.findings_words(found)),
        decision=described.decision_words(found),
        impression=described.impression(found),
    )
