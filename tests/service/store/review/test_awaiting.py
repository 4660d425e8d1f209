"""Which drafts await a decision."""

from datetime import timedelta

from sqlalchemy import text


def listed(store, **options):
    """Return the ids of the listed jobs."""
    since = options.pop("since", store.now() - timedelta(days=7))
    return [job.id for job in store.awaiting_decision(since, limit=100, **options).jobs]


def run(store, sql, **values):
    """Run a statement."""
    with store._writing() as session:
        session.execute(text(sql), values)


def test_a_draft_is_listed_until_a_decision_stands(store, reviewing):
    """After an undo it is listed again."""
    job = reviewing.drafted(store)
    assert listed(store) == [job.id]
    made = store.decide(
        job.id,
        reviewing.request(),
        reviewing.roentgen,
        key="k" * 8,
        digest="d",
        audit=reviewing.audit,
    )
    assert listed(store) == []
    store.undo(made.id, reviewing.roentgen, reviewing.audit)
    assert listed(store) == [job.id]


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
    jobs = [reviewing.drafted(store, study=f"1.2.{n}", number=n) for n in range(1, 4)]
    later = store.now() + timedelta(days=1)
    assert listed(store, since=later) == []
    assert store.older_awaiting(later, most=9) == 3
    assert store.older_awaiting(later, most=1) == 2  # the count ends above the bound
    found = store.awaiting_decision(store.now() - timedelta(days=1), limit=2)
    # All of one moment: in the order of their ids.
    assert [job.id for job in found.jobs] == sorted(job.id for job in jobs)[:2]
    assert found.unlisted == 1
    assert found.jobs[0].draft is not None
