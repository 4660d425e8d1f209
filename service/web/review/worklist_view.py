"""The worklist: drafts that await a decision, as parts of a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.review.worklist import Place, WorklistEntry, worklist
from service.store import Store
from service.web.app_context import AppContext
from service.web.render import Snapshot, part
from service.web.review.patients import Patient, as_patient, patients_of

# Of so many drafts the order is found; so many are shown.
_MOST_ORDERED: Final = 500
_MOST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistChoice:
    """Whose worklist, and what is searched in it.

    Attributes:
        person_id: The person's id: the count of the day is theirs.
        search: Words of a name, patient ID or accession number.
    """

    person_id: str
    search: str = ""


def entries_of(here: AppContext) -> tuple[list[WorklistEntry], int]:
    """Return the drafts that await a decision in the order of reading, and how many are not listed."""
    store, settings = here.store, here.settings.web
    now = store.now()
    found = store.awaiting_decision(
        now - timedelta(days=settings.worklist_days), limit=_MOST_ORDERED
    )
    limit = timedelta(minutes=settings.waiting_limit_minutes)
    return worklist(found.jobs, now, limit), found.unlisted


def neighbors(here: AppContext, job_id: str) -> tuple[str, str]:
    """Return the ids of the jobs before and after this one in the worklist, "" where there is none.

    After a job that is not in the worklist comes the first one.
    """
    entries, _ = entries_of(here)
    ids = [each.job.id for each in entries]
    if job_id not in ids:
        return "", ids[0] if ids else ""
    at = ids.index(job_id)
    before = ids[at - 1] if at else ""
    # From the last one on to the first: nothing that waits is passed over for good.
    after = ids[(at + 1) % len(ids)] if len(ids) > 1 else ""
    return before, after


def worklist_snapshot(here: AppContext, choice: WorklistChoice) -> Snapshot:
    """Return the parts of the worklist; they name patients: only for the person who asks."""
    entries, unlisted = entries_of(here)
    waiting, urgent = len(entries) + unlisted, _urgent(entries)
    oldest = min((each.since for each in entries), default=None)
    shown, patients = _shown(here.store, entries, choice.search)
    opened = here.store.open_reviews([each.job.id for each in shown])
    rows = {
        f"draft-{each.job.id}": part(
            "worklist_row",
            entry=each,
            is_overdue=each.place is Place.OVERDUE,
            limit=here.settings.web.waiting_limit_minutes,
            patient=patients[each.job.id],
            readers=[
                every.name
                for every in opened.get(each.job.id, ())
                if every.reviewer_id != choice.person_id
            ],
        )
        for each in shown
    }
    bar = part(
        "worklist_bar",
        waiting=waiting,
        urgent=urgent,
        overdue=sum(each.place is Place.OVERDUE for each in entries),
        oldest=oldest,
        withheld=here.store.withheld().n,
        mine=_mine_today(here.store, choice.person_id),
    )
    rest = waiting - len(shown) if not choice.search else 0
    empty = part("worklist_empty", nothing=not shown, search=choice.search, rest=rest)
    return Snapshot(parts={"bar": bar, "empty": empty, **rows}, order=tuple(rows))


def _shown(
    store: Store, entries: Sequence[WorklistEntry], search: str
) -> tuple[Sequence[WorklistEntry], dict[str, Patient]]:
    if not search:
        shown = entries[:_MOST_SHOWN]
        return shown, patients_of(store, (each.job for each in shown))
    patients = patients_of(store, (each.job for each in entries))
    found = [each for each in entries if patients[each.job.id].matches(search)]
    return found[:_MOST_SHOWN], patients


def other_studies(here: AppContext, search: str) -> list[tuple[str, Patient]]:
    """Return found studies that do not await a decision: Study Instance UID and patient."""
    if not search:
        return []
    entries, _ = entries_of(here)
    waiting = {each.job.study_instance_uid for each in entries}
    found = here.store.search_identities(search, limit=_MOST_SHOWN)
    return [(each.study_uid, as_patient(each)) for each in found if each.study_uid not in waiting]


def _urgent(entries: Sequence[WorklistEntry]) -> int:
    return sum(each.urgency in {Place.SITE_URGENT, Place.AI_URGENT} for each in entries)


def _mine_today(store: Store, person_id: str) -> int:
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    made = store.decisions(reviewer_id=person_id, since=midnight, limit=1000)
    return sum(each.undone_at is None for each in made)
