"""The worklist: drafts that await a decision, as parts of a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup

from service.accounts import Person
from service.review.worklist import Place, WorklistEntry, worklist
from service.store import Store
from service.store.review.awaiting import MOST_COUNTED, WorklistSpan
from service.web.app_context import AppContext
from service.web.render import Snapshot, areas_of, part
from service.web.review.patients import Patient, as_patient, patients_of
from service.web.review.site_viewers import viewer_links

_MOST_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistChoice:
    """Whose worklist, what is searched in it, and which page.

    Attributes:
        person: The person: the count of the day is theirs, and so are the pages that are linked.
        search: Words of a name, patient ID or accession number.
        after: Id of the job behind which the page begins; "" for the first page.
    """

    person: Person
    search: str = ""
    after: str = ""

    def query(self, after: str = "") -> str:
        """Return the query of the page of the same search behind the job `after`, as in a URL."""
        given = {"q": self.search, "after": after}
        return urlencode({name: value for name, value in given.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistParts:
    """A page of the worklist.

    Attributes:
        snapshot: Its parts.
        others: Found studies that do not await a decision: Study Instance UID and patient.
    """

    snapshot: Snapshot
    others: Sequence[tuple[str, Patient]]


def neighbors(here: AppContext, job_id: str) -> tuple[str, str]:
    """Return the ids of the jobs before and after this one in the worklist, "" where there is none.

    After a job that is not in the worklist comes the first one; so it does after the last one: nothing
    that waits is passed over for good.
    """
    return here.store.worklist_neighbors(_span(here, here.store.now()), job_id)


def worklist_parts(here: AppContext, choice: WorklistChoice) -> WorklistParts:
    """Return the parts of the worklist; they name patients: only for the person who asks.

    Raises:
        NotFound: There is no job `choice.after`.
        QueryTooSlow: The query exceeded its time limit.
    """
    store, now = here.store, here.store.now()
    span = _span(here, now)
    found = store.worklist_page(span, limit=_MOST_SHOWN, after=choice.after, search=choice.search)
    entries = worklist(found.jobs, now, now - span.overdue_before)
    following = found.jobs[-1].id if found.has_more else ""
    empty = part(
        "worklist_empty",
        nothing=not entries,
        choice=choice,
        following=choice.query(following) if following else "",
    )
    rows = _rows(here, entries, choice.person.id)
    parts = {"bar": _bar(store, span, choice.person), "empty": empty, **rows}
    return WorklistParts(
        snapshot=Snapshot(parts=parts, order=tuple(rows)),
        others=_patients(store, found.other_studies),
    )


def _span(here: AppContext, now: datetime) -> WorklistSpan:
    settings = here.settings.web
    return WorklistSpan(
        since=now - timedelta(days=settings.worklist_days),
        overdue_before=now - timedelta(minutes=settings.waiting_limit_minutes),
    )


def _rows(here: AppContext, entries: Sequence[WorklistEntry], person_id: str) -> dict[str, Markup]:
    patients = patients_of(here.store, (each.job for each in entries))
    opened = here.store.open_reviews([each.job.id for each in entries])
    return {
        f"draft-{each.job.id}": part(
            "worklist_row",
            entry=each,
            is_overdue=each.place is Place.OVERDUE,
            limit=here.settings.web.waiting_limit_minutes,
            patient=patients[each.job.id],
            viewers=viewer_links(
                here.settings.web.viewers, each.job.study_instance_uid, patients[each.job.id]
            ),
            readers=[
                every.name
                for every in opened.get(each.job.id, ())
                if every.reviewer_id != person_id
            ],
        )
        for each in entries
    }


def _bar(store: Store, span: WorklistSpan, person: Person) -> Markup:
    counts = store.worklist_counts(span)
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return part(
        "worklist_bar",
        waiting=_bounded(counts.waiting),
        urgent=_bounded(counts.urgent),
        overdue=_bounded(counts.overdue) if counts.overdue else "",
        oldest=counts.oldest,
        withheld=store.withheld().n,
        mine=store.decisions_made(person.id, since=midnight),
        areas=[path for path, _ in areas_of(person)],
    )


def _bounded(number: int) -> str:
    """Return a count as text; "1,000+" for one above the bound."""
    return f"{MOST_COUNTED:,}+" if number > MOST_COUNTED else f"{number:,}"


def _patients(store: Store, study_uids: Sequence[str]) -> list[tuple[str, Patient]]:
    known = store.identities(study_uids)
    return [(uid, as_patient(known[uid])) for uid in study_uids if uid in known]
