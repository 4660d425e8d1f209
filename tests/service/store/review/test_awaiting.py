"""Which drafts await a decision, in which order, page by page."""

import itertools
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from dicom.content.report import Finding, Observation, Presence
from service.errors import NotFound
from service.review.worklist import worklist
from service.store.review.awaiting import MOST_COUNTED, WorklistSpan
from service.study_identity import StudyIdentity

LIMIT = timedelta(minutes=60)
PNEUMOTHORAX = Finding(observation=Observation.PNEUMOTHORAX, presence=Presence.UNCERTAIN)
NONE = Finding(observation=Observation.PNEUMOTHORAX, presence=Presence.ABSENT)


def span_of(store, **changes):
    """Return the span of the last seven days."""
    now = store.now()
    return WorklistSpan(**{"since": now - timedelta(7), "overdue_before": now - LIMIT, **changes})


def ids_of(page):
    """Return the ids of a page."""
    return [job.id for job in page.jobs]


def listed(store, **changes):
    """Return the ids of the listed jobs."""
    return ids_of(store.worklist_page(span_of(store, **changes), limit=100))


def run(store, sql, **values):
    """Run a statement."""
    with store._writing() as session:
        session.execute(text(sql), values)


def accept(store, reviewing, job):
    """Accept a draft; return the decision."""
    request = reviewing.request()
    who = reviewing.roentgen
    return store.decide(job.id, request, who, key=job.id[:8], digest="d", audit=reviewing.audit)


@pytest.fixture
def jobs(store, reviewing):
    """Drafts of each urgency, above and below the limit, two of each at one time, in a mixed order."""
    kinds = itertools.product((90, 30), (True, False), (PNEUMOTHORAX, NONE))
    made = []
    now = store.now()
    for number, (minutes, is_urgent, finding) in enumerate(kinds, start=1):
        for twin in (1, 2):
            study = f"1.2.{number}.{twin}"
            job = reviewing.drafted(store, study, findings=(finding,))
            with store._writing() as session:
                row = store._row(session, job.id)
                row.urgent, row.created_at = is_urgent, now - timedelta(minutes=minutes)
            made.append(store.job(job.id))
            store.record_identity(
                StudyIdentity(study_uid=study, patient_name=f"Doe^Twin{twin}"), number
            )
    return made


def in_order(store, jobs):
    """Return the ids in the order of the pure function, which decodes each draft."""
    return [each.job.id for each in worklist(jobs, store.now(), LIMIT)]


def test_the_pages_together_are_the_list_in_order(store, jobs):
    """As the pure function orders all of them: each once, whatever the size of a page."""
    expected = in_order(store, jobs)
    for size in (1, 5, len(jobs)):
        found, after, has_more = [], "", True
        while has_more:
            page = store.worklist_page(span_of(store), limit=size, after=after)
            found += ids_of(page)
            has_more, after = page.has_more, found[-1]
        assert found == expected


def test_a_page_begins_behind_a_draft_that_was_decided_meanwhile(store, jobs):
    """The last row of a page may be gone when the next page is requested."""
    expected = in_order(store, jobs)
    decided = store.job(expected[4])
    with store._writing() as session:
        store._row(session, decided.id).decided = True
    assert ids_of(store.worklist_page(span_of(store), limit=3, after=decided.id)) == expected[5:8]
    with pytest.raises(NotFound):
        store.worklist_page(span_of(store), limit=3, after="0" * 32)


def test_a_search_keeps_the_order_also_if_many_match(store, jobs, monkeypatch):
    """Few matching studies are named one by one, some are collected, of many each draft is checked."""
    expected = [
        each for each in in_order(store, jobs) if store.job(each).study_instance_uid[-1:] == "2"
    ]
    for few, most in ((1000, 1000), (3, 1000), (3, 3)):
        monkeypatch.setattr("service.store.job_lists.matching._FEW", few)
        monkeypatch.setattr("service.store.job_lists.matching._COLLECTED", most)
        page = store.worklist_page(span_of(store), limit=5, search="twin2 doe")
        assert ids_of(page) == expected[:5]
        assert page.has_more
        later = store.worklist_page(span_of(store), limit=50, after=expected[4], search="TWIN2")
        assert ids_of(later) == expected[5:]
        assert later.other_studies == []
    assert store.worklist_page(span_of(store), limit=5, search="twin3").jobs == []


def test_a_search_finds_studies_that_await_nothing(store, reviewing, jobs):
    """Those whose draft is decided, or too old to be listed."""
    first, second = jobs[0], jobs[1]
    accept(store, reviewing, first)
    run(store, "UPDATE jobs SET created_at = '2020-01-01' WHERE id = :id", id=second.id)
    page = store.worklist_page(span_of(store), limit=50, search="doe")
    assert set(page.other_studies) == {first.study_instance_uid, second.study_instance_uid}
    assert not {first.id, second.id} & set(ids_of(page))


def test_the_counts_are_of_the_whole_list_and_bounded(store, jobs):
    """Each up to the bound, then one more."""
    counts = store.worklist_counts(span_of(store))
    assert (counts.waiting, counts.urgent, counts.overdue) == (16, 12, 8)
    assert counts.oldest == min(job.created_at for job in jobs)
    later = span_of(store, since=store.now() + LIMIT)
    assert store.worklist_counts(later).oldest is None
    # As many more as the bound, as copies of one row.
    columns = "study_instance_uid, calling_ae, model_version, state, urgent, forced, reason_code"
    columns += ", reason, updated_at, attempts, first_error, last_error, lease_owner, fence, draft"
    # Constants of this test.
    copied = f"""INSERT INTO jobs (id, model_name, revision, created_at, {columns})
        WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MOST_COUNTED})
        SELECT 'copy' || n, 'copy' || n, 1, created_at, {columns} FROM jobs, n WHERE id = :id"""  # noqa: S608
    run(store, copied, id=next(job.id for job in jobs if not job.urgent))
    assert store.worklist_counts(span_of(store)).waiting > MOST_COUNTED


def test_the_neighbors_are_those_of_the_list(store, reviewing, jobs):
    """Across the borders of the urgencies; behind the last one, and behind another job, the first."""
    expected = in_order(store, jobs)
    span = span_of(store)
    following = [*expected[1:], expected[0]]
    for before, job_id, after in zip(["", *expected], expected, following, strict=False):
        assert store.worklist_neighbors(span, job_id) == (before, after)
    accept(store, reviewing, store.job(expected[3]))
    assert store.worklist_neighbors(span, expected[3]) == ("", expected[0])


def test_the_only_draft_has_no_neighbors(store, reviewing):
    """It does not lead to itself."""
    job = reviewing.drafted(store)
    assert store.worklist_neighbors(span_of(store), job.id) == ("", "")


def test_no_draft_is_decoded_that_is_not_shown(store, jobs, monkeypatch):
    """Counts, neighbors and other pages read columns only."""
    decoded = []
    real = type(jobs[0].draft).from_json
    monkeypatch.setattr(
        "dicom.content.report.DraftReport.from_json",
        lambda data: decoded.append(data) or real(data),
    )
    expected = in_order(store, jobs)
    store.worklist_counts(span_of(store))
    store.worklist_neighbors(span_of(store), expected[2])
    assert decoded == []
    store.worklist_page(span_of(store), limit=3, search="doe")
    assert len(decoded) == 3


def test_the_list_reads_its_indexes_in_order(store, jobs):
    """The conditions of the queries contain those of the partial indexes, in both databases."""
    statements = []

    @event.listens_for(store._engine, "before_cursor_execute")
    def _note(_connection, _cursor, statement, parameters, _context, _many):
        if "decided" in statement and "created_at <" in statement:
            statements.append((statement, parameters))

    store.worklist_page(span_of(store), limit=3)
    store.worklist_neighbors(span_of(store), jobs[-1].id)
    event.remove(store._engine, "before_cursor_execute", _note)
    explain = "EXPLAIN QUERY PLAN " if store._is_sqlite else "EXPLAIN "
    plans = []
    with store._engine.connect() as connection:
        if not store._is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in statements:
            rows = connection.exec_driver_sql(explain + statement, parameters)
            plans.append(" ".join(str(tuple(row)) for row in rows))
    assert plans
    assert not [plan for plan in plans if "ix_jobs_awaiting" not in plan]
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or "Sort" in plan]


def test_a_draft_is_listed_until_a_decision_stands(store, reviewing):
    """After an undo it is listed again; an amended decision that is undone leaves the first one."""
    job = reviewing.drafted(store)
    assert listed(store) == [job.id]
    made = accept(store, reviewing, job)
    assert listed(store) == []
    assert store.decisions_made(reviewing.roentgen.id, since=made.at) == 1
    store.undo(made.id, reviewing.roentgen, reviewing.audit)
    assert listed(store) == [job.id]
    assert store.decisions_made(reviewing.roentgen.id, since=made.at) == 0


def test_drafts_about_which_nothing_is_to_be_decided_are_left_out(store, reviewing):
    """Superseded, withdrawn, without images; a job without a draft never counts."""
    superseded = reviewing.drafted(store, study="1.2.3", number=1)
    newer = reviewing.drafted(store, study="1.2.3", number=2)
    withdrawn = reviewing.drafted(store, study="1.2.4", number=3)
    removed = reviewing.drafted(store, study="1.2.5", number=4)
    canceled = reviewing.drafted(store, study="1.2.6", number=5)
    assert store.job(superseded.id).superseded_by == newer.id
    run(store, "UPDATE jobs SET reason_code = 'RECALLED' WHERE id = :id", id=withdrawn.id)
    run(store, "UPDATE jobs SET removed_at = created_at WHERE id = :id", id=removed.id)
    run(store, "UPDATE jobs SET state = 'CANCELED' WHERE id = :id", id=canceled.id)
    assert listed(store) == [newer.id]


def test_older_drafts_are_counted_not_listed(store, reviewing):
    """The list has a beginning and an end; the omitted ones are reported."""
    for number in range(1, 4):
        reviewing.drafted(store, study=f"1.2.{number}", number=number)
    later = store.now() + timedelta(days=1)
    assert listed(store, since=later) == []
    assert store.older_awaiting(later, most=9) == 3
    assert store.older_awaiting(later, most=1) == 2  # the count ends above the bound
