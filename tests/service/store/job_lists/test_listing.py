"""Lists by filter against a direct computation, pages while jobs arrive, bounded counts, failures."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, text

from service.database.engine import make_engine
from service.database.identity_tables import StudyIdentityRow
from service.database.tables import DeliveryRow, JobRow, StudyRow
from service.errors import NotFound, QueryTooSlow
from service.jobs import DeliveryState, DraftStatus, JobState
from service.store.job_lists import listing, matching
from service.store.job_lists.criteria import JobFilter
from service.store.job_lists.time_limit import time_limit
from tests.service.store.records import arrive, schedule

NUMBER = 240
CAUSES = ("", "NOT_DELIVERED", "PIXEL_ERROR", "RECALLED")


def made_jobs(clock):
    """Jobs of every kind: columns of the table, with `destinations` and `patient` beside them."""
    chance = random.Random(7)
    for number in range(NUMBER):
        moment = clock() - timedelta(minutes=chance.randrange(60))
        yield {
            "id": f"{chance.getrandbits(128):032x}",
            "study_instance_uid": f"1.2.{chance.randrange(10**9)}.{number}",
            "calling_ae": chance.choice(("CR_1", "CR_2", "PACS")),
            "model_name": chance.choice(("demo", "demo", "demo", "other")),
            "model_version": "1",
            "revision": 1,
            "state": chance.choice(list(JobState)).value,
            "urgent": chance.random() < 0.2,
            "forced": False,
            "reason_code": chance.choice(CAUSES),
            "reason": f"Reason {number}.",
            "created_at": moment,
            "updated_at": moment + timedelta(seconds=number),
            "destinations": {
                name: chance.choice(list(DeliveryState))
                for name in ("pacs", "archive")
                if chance.random() < 0.6
            },
            "patient": chance.choice(("kim p7", "lee p8 a77", "")),
        }


@pytest.fixture
def filled(database_url, clock):
    """The jobs in the database, the newest first."""
    jobs = sorted(made_jobs(clock), key=lambda job: (job["created_at"], job["id"]), reverse=True)
    engine = make_engine(database_url)
    times = dict.fromkeys(("first_arrival", "last_arrival"), clock())
    empty = dict.fromkeys(
        ("patient_name", "patient_id", "issuer", "birth_date", "sex", "accession_number"), ""
    )
    empty |= {"study_date": "", "description": "", "instance_id": 1}
    with engine.begin() as connection:
        study = {"urgent": False, **times}
        connection.execute(
            insert(StudyRow),
            [{**_of(job, "study_instance_uid", "calling_ae"), **study} for job in jobs],
        )
        columns = [each for each in jobs[0] if each not in {"destinations", "patient"}]
        connection.execute(insert(JobRow), [_of(job, *columns) for job in jobs])
        connection.execute(
            insert(DeliveryRow),
            [
                {
                    "job_id": job["id"],
                    "destination": name,
                    "state": state.value,
                    "created_at": clock(),
                }
                for job in jobs
                for name, state in job["destinations"].items()
            ],
        )
        connection.execute(
            insert(StudyIdentityRow),
            [
                {"study_uid": job["study_instance_uid"], "search_text": job["patient"], **empty}
                for job in jobs
                if job["patient"]
            ],
        )
    engine.dispose()
    return jobs


def _of(job, *names):
    return {name: job[name] for name in names}


def matches(job, wanted: JobFilter) -> bool:
    """Whether a job matches, computed without the database."""
    state = JobState(job["state"])
    held = job["destinations"].get(wanted.destination)
    meant = {
        (JobState.FAILED,): {DeliveryState.FAILED},
        (JobState.DRAFTED,): {DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.FAILED},
    }.get(wanted.states, set(DeliveryState))
    return (
        (not wanted.states or state in wanted.states)
        and (wanted.status is None or job["reason_code"] == "RECALLED")
        and wanted.calling_ae in {"", job["calling_ae"]}
        and wanted.model in {"", job["model_name"]}
        and (wanted.created_before is None or job["created_at"] < wanted.created_before)
        and wanted.cause in {"", job["reason_code"]}
        and (not wanted.destination or held in meant)
        and (not wanted.text or in_text(job, wanted.text))
    )


def in_text(job, text: str) -> bool:
    """Whether a text is part of the study's UID, the calling AE, or words of the patient."""
    return (
        (text.replace(".", "").isdigit() and text in job["study_instance_uid"])
        or text.upper() == job["calling_ae"]
        or all(word in job["patient"] for word in text.casefold().split())
    )


def some_filters(jobs, clock, number):
    """Filters of one to four random conditions."""
    chance = random.Random(11)
    values = {
        "states": [(state,) for state in JobState] + [(JobState.FAILED, JobState.DRAFTED)],
        "status": [DraftStatus.WITHDRAWN],
        "calling_ae": ["CR_1", "PACS", "NEVER"],
        "destination": ["pacs", "archive", "unknown"],
        "model": ["demo", "other", "none"],
        "created_before": [clock() - timedelta(minutes=m) for m in (0, 20, 59, 90)],
        "cause": ["NOT_DELIVERED", "PIXEL_ERROR", "NEVER"],
        "text": [
            "kim",
            "KIM p7",
            "lee a77",
            "cr_2",
            "1.2.",
            jobs[9]["study_instance_uid"][4:],
            "%",
        ],
    }
    for _ in range(number):
        names = chance.sample(sorted(values), chance.randrange(1, 5))
        yield JobFilter(**{name: chance.choice(values[name]) for name in names})


@pytest.mark.parametrize(
    ("few", "most"),
    [(1000, 1000), (2, 1000), (2, 2)],
    ids=["few rows named", "some rows collected", "many rows checked"],
)
def test_a_filter_lists_what_a_direct_computation_finds(
    store, filled, clock, monkeypatch, few, most
):
    """Every condition alone and with others, in each form of the conditions on other tables."""
    monkeypatch.setattr(matching, "_FEW", few)
    monkeypatch.setattr(matching, "_COLLECTED", most)
    lengths = set()
    for wanted in [JobFilter(), *some_filters(filled, clock, 45)]:
        expected = [job["id"] for job in filled if matches(job, wanted)]
        listed = [job.id for job in store.list_jobs(wanted, limit=NUMBER)]
        assert listed == expected, wanted
        lengths.add(len(expected))
    assert len(lengths) > 10, "the filters do not differ enough"
    failed = JobFilter(states=(JobState.FAILED,))
    oldest = store.list_jobs(failed, limit=3, oldest_first=True)
    every = [job.id for job in store.list_jobs(failed, limit=NUMBER)]
    assert [job.id for job in oldest] == every[::-1][:3]
    assert [job.id for job in store.jobs_of(every[:2])] == every[:2][::-1]


def test_pages_show_each_job_once_while_new_ones_arrive(store, filled):
    """The walk from page to page by the last job of each; jobs that arrive meanwhile are before it."""
    wanted = JobFilter(model="demo")
    expected = [job["id"] for job in filled if matches(job, wanted)]
    seen, before = [], ""
    while page := store.list_jobs(wanted, limit=7, before=before):
        seen += [job.id for job in page]
        before = page[-1].id
        uid = f"1.9.{len(seen)}"
        arrive(store, study=uid)
        assert store.schedule(uid, model="demo", version="1", actor="intake", reason="Released.")
    assert seen == expected
    assert len(store.list_jobs(wanted, limit=7)) == 7
    with pytest.raises(NotFound):
        store.list_jobs(wanted, limit=7, before="<script>")


def test_counts_end_at_their_bound(store, filled, monkeypatch):
    """Each state and alarm is counted, no further than one above the bound."""
    direct = {state: sum(job["state"] == state for job in filled) for state in JobState}
    counts = store.bounded_counts()
    assert {state: counts[state] for state in JobState} == direct
    assert counts[DraftStatus.WITHDRAWN] == sum(job["reason_code"] == "RECALLED" for job in filled)
    monkeypatch.setattr(listing, "MOST_COUNTED", 5)
    assert set(store.bounded_counts().values()) <= {0, 1, 2, 3, 4, 5, 6}
    assert store.bounded_counts()[JobState.FAILED] == 6


def test_failures_are_grouped_by_cause_and_destination(store, filled):
    """Each group has the number that its filter lists, the first time, and the latest reason."""
    groups = store.failure_groups()
    failed = [job for job in filled if job["state"] == "FAILED" and job["reason_code"]]
    expected = {(job["reason_code"], "") for job in failed if job["reason_code"] != "NOT_DELIVERED"}
    for job in failed:
        if job["reason_code"] == "NOT_DELIVERED":
            refused = {n for n, s in job["destinations"].items() if s is DeliveryState.FAILED}
            expected |= {("NOT_DELIVERED", name) for name in refused}
    assert {(each.cause, each.destination) for each in groups} == expected
    for group in groups:
        wanted = JobFilter(
            states=(JobState.FAILED,), cause=group.cause, destination=group.destination
        )
        members = [job for job in failed if matches(job, wanted)]
        assert group.count == len(members)
        assert group.first_at == min(job["updated_at"] for job in members)
        assert group.reason == members[0]["reason"]
    assert [each.count for each in groups] == sorted((g.count for g in groups), reverse=True)


def test_urgent_jobs_that_are_due_are_counted_by_model(store, clock):
    """Jobs that wait for a later try are not counted."""
    for number in range(3):
        arrive(store, study=f"1.{number}")
        schedule(store, f"1.{number}", urgent=number < 2)
        clock.move(1)
    assert store.urgent_waiting() == {"tiny": 2}
    held = store.claim_reading(store.list_jobs(JobFilter(), limit=9)[-1].id, "reader", 60)
    store.hand_back(held.id, held.fence, "OOM", "No memory.", 600)
    assert store.urgent_waiting() == {"tiny": 1}


def test_a_query_that_takes_too_long_is_ended(store):
    """In both databases, and the connection serves the next query."""
    slow = {
        "sqlite": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT sum(n) FROM c",
        "postgresql": "SELECT pg_sleep(10)",
    }
    dialect = "sqlite" if store._is_sqlite else "postgresql"
    with pytest.raises(QueryTooSlow, match=r"more than 0\.1 s"):  # noqa: SIM117
        with store._reading() as session, time_limit(session, 0.1):
            session.execute(text(slow[dialect]))
    for _ in range(20):
        assert store.list_jobs(replace(JobFilter(), cause="NEVER"), limit=1) == []


def test_each_search_is_planned_for_its_own_text(store):
    """PostgreSQL would use one plan for rare and common texts after five searches on a connection."""
    if store._is_sqlite:
        pytest.skip("SQLite has one plan for each statement")
    shown = text("SHOW plan_cache_mode")
    with store._reading() as session, time_limit(session):
        assert session.scalar(shown) == "force_custom_plan"
        assert session.scalar(text("SHOW statement_timeout")) == "2s"
    with store._reading() as session:
        assert session.scalar(shown) == "auto"
