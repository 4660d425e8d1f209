"""`/reader-studies`: the list, one study, the reading page, closing, and the export."""

import csv
import io
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.accounts import Person, Role
from service.audit import AuditAction
from service.errors import NotFound
from service.reader_study.errors import ReaderStudyConflict
from service.reader_study.study import ReaderStudy, csv_safe
from service.settings.advice import cautions
from service.store import Store
from service.web.access.current import actor_of, current_person
from service.web.app_context import app_context_of
from service.web.auditing import audit, event_of
from service.web.reader_study.view import (
    definitions,
    reading_values,
    results_values,
    visible_studies,
)
from service.web.render import page, root_of

_AREA: Final = "monitor"


async def list_page(request: Request) -> Response:
    """Answer with the studies that the person may see."""
    here, person = app_context_of(request), current_person(request)
    studies = await run_in_threadpool(visible_studies, here.store, person)
    return _html(request, "reader_study/list.html", studies=studies)


async def study_page(request: Request) -> Response:
    """Answer with one study: how it works, how far the readers are, and the results after closing."""
    here, person = app_context_of(request), current_person(request)
    study = await run_in_threadpool(_visible, here.store, _id_of(request), person)
    results = None
    if study.closed_at is not None:
        results = await run_in_threadpool(results_values, here.store, study)
    return _html(
        request,
        "reader_study/study.html",
        study=study,
        own=study.reader(person.id) if person.has(Role.RADIOLOGIST) else None,
        acts=person.has(Role.ADMIN),
        results=results,
        **definitions(),
    )


async def reading_page(request: Request) -> Response:
    """Answer with the reader's current item; without one, go to the page of the study."""
    here, person = app_context_of(request), current_person(request)
    study = await run_in_threadpool(_visible, here.store, _id_of(request), person)
    if study.reader(person.id) is None:
        raise HTTPException(403, "You are not a reader of this study.")
    item = await run_in_threadpool(here.store.current_item, study.id, person.id)
    if item is None:
        return RedirectResponse(f"../{study.id}", status_code=303)
    values = await run_in_threadpool(reading_values, here.store, study, item)
    return _html(request, "reader_study/read.html", **values)


async def close(request: Request) -> Response:
    """Close a study for good."""
    here, form = app_context_of(request), await request.form(max_files=0, max_fields=5)
    study = await run_in_threadpool(here.store.reader_study, _id_of(request))
    if not study.is_complete and form.get("incomplete") != "yes":
        raise ReaderStudyConflict(
            "Not every item was rated: confirm on the page that the study is closed all the same."
        )
    event = event_of(request, AuditAction.CLOSED_READER_STUDY)
    await run_in_threadpool(here.store.close_reader_study, study.id, actor_of(request), event)
    return RedirectResponse(f"../{study.id}", status_code=303)


async def results_csv(request: Request) -> Response:
    """Answer with one line of CSV for each item of a closed study, without texts."""
    here, study_id = app_context_of(request), _id_of(request)
    content = await run_in_threadpool(_csv, here.store, study_id)
    await audit(request, AuditAction.EXPORTED, detail=f"reader study {study_id}")
    headers = {"Content-Disposition": 'attachment; filename="reader-study.csv"'}
    return Response(content, media_type="text/csv", headers=headers)


def _csv(store: Store, study_id: str) -> str:
    from service.reader_study.results import csv_line  # noqa: PLC0415 - loads the statistics

    lines = [csv_line(each) for each in store.reader_study_results(study_id)]
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, list(lines[0]) if lines else [])
    writer.writeheader()
    writer.writerows({key: csv_safe(value) for key, value in line.items()} for line in lines)
    return written.getvalue()


def _visible(store: Store, study_id: str, person: Person) -> ReaderStudy:
    """Return a study if the person may see it.

    Raises:
        NotFound: There is none, or it is none of the person's.
    """
    study = store.reader_study(study_id)
    if not person.has(Role.ADMIN) and study.reader(person.id) is None:
        raise NotFound("There is no such reader study.")
    return study


def _id_of(request: Request) -> str:
    study_id: str = request.path_params["reader_study"]
    return study_id


def _html(request: Request, template: str, **values: Any) -> HTMLResponse:  # noqa: ANN401 - of any template
    settings = app_context_of(request).settings
    html = page(
        template,
        root=root_of(request.url.path),
        area=_AREA,
        site_name=settings.site_name,
        cautions=cautions(settings),
        **values,
    )
    return HTMLResponse(html)
