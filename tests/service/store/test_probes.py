"""The end-to-end check in the database: lists without it, forged checks, its removal."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from dicom.study import Instance
from service.database import alert_tables, final_report_tables  # noqa: F401 - their tables too
from service.database.tables import Base, JobRow, StudyRow
from service.jobs import JobState
from service.records.probes import ProbeOutcome, ProbeStage
from service.review.conflicts import CannotDecide
from service.review.words import Obstacle
from service.store.job_lists.criteria import JobFilter
from service.store.operator.repeats import Selection
from service.store.probes import OF_JOBS
from service.store.review.awaiting import WorklistSpan
from service.store.shadow_readings import ShadowLimits
from service.store.throughput.computing import computed
from service.throughput.hours import hour_of

# Rows of studies on which a person acted: such a study is not removed.
BY_PERSONS = {"decisions"}


def begun(store):
    """Return a new check."""
    assert store.begin_probe("slot 1")
    return store.claim_probe("sweeper", 60)


def drafted(store, reviewing, probe):
    """Let the check's image arrive and be drafted; return the job."""
    uid = probe.study_instance_uid
    store.set_probe_image(probe, f"{uid}.1", f"{1:064x}")
    return reviewing.drafted(store, uid)


def seen(store):
    """Return whether each list, count and figure has a study in it."""
    limits = ShadowLimits(max_open_jobs=5, backlog=10, per_hour=10)
    span = WorklistSpan(since=store.now() - timedelta(1), overdue_before=store.now())
    with store._reading() as session:
        figures = computed(session, hour_of(store.now()))
    identified = [path for *_, path in store.instances_to_identify(0, 10)]
    return {
        "jobs": bool(store.jobs()),
        "counts": store.counts()[JobState.DRAFTED] > 0,
        "queue": bool(store.list_jobs(JobFilter(), limit=9)),
        "queue, counts": store.bounded_counts()[JobState.DRAFTED] > 0,
        "deliveries": bool(store.delivery_counts()),
        "backlog": any(each.waiting for each in store.backlogs(["pacs"])),
        "worklist": bool(store.worklist_page(span, limit=9).jobs),
        "worklist, counts": store.worklist_counts(span).waiting > 0,
        "undecided": store.older_awaiting(store.now() + timedelta(1), most=9) > 0,
        "drift": bool(store.readings_to_record()),
        "identity": any(identified),
        "oldest": store.oldest_waiting([JobState.DRAFTED]) is not None,
        "drafts": bool(store.drafts_made(timedelta(1))),
        "models": bool(store.drafted_models()),
        "timings": bool(store.draft_timings(5)),
        "evaluation": bool(store.matching(Selection(), limit=5)),
        "rollup, studies": figures.balance.studies.total() > 0,
        "rollup, jobs": figures.balance.jobs.total() > 0,
        "search": bool(store.search_texts([], ["enlarged"], limit=5)),
        "callers": any(each.instances for each in store.calling_aes()),
        "shadow": store.claim_shadow("trial", "1", "s", 60, limits) is not None,
    }


def test_no_list_count_or_figure_has_a_check(store, reviewing):
    """While it runs; a study of a patient appears in all of them."""
    probe = begun(store)
    drafted(store, reviewing, probe)
    assert [name for name, found in seen(store).items() if found] == []
    reviewing.drafted(store, "1.2.3")
    assert [name for name, found in seen(store).items() if not found] == []
    assert [each.study_instance_uid for each in store.jobs()] == ["1.2.3"]
    assert store.counts()[JobState.DRAFTED] == 1


def test_the_job_of_a_check_is_found_where_it_is_worked_on(store, reviewing):
    """By its id, its study, and as a due delivery."""
    probe = begun(store)
    job = drafted(store, reviewing, probe)
    assert store.job(job.id).id == job.id
    assert [each.id for each in store.jobs(study=probe.study_instance_uid)] == [job.id]
    assert store.claim_delivery(None, "worker", 60, {})[0].job_id == job.id


def test_an_end_to_end_check_takes_no_decision(store, reviewing):
    """The page of the worklist does not show it; a request by hand is refused."""
    job = drafted(store, reviewing, begun(store))
    with pytest.raises(CannotDecide) as refused:
        store.decide(
            job.id,
            reviewing.request(),
            reviewing.roentgen,
            key="k",
            digest="d",
            audit=reviewing.audit,
        )
    assert refused.value.obstacle is Obstacle.CHECK


@pytest.mark.parametrize(
    ("sop", "digest"), [("9", f"{9:064x}"), ("1", f"{9:064x}")], ids=["another", "other bytes"]
)
def test_no_sender_can_hide_a_study_as_a_check(store, reviewing, sop, digest):
    """Even with the check's UIDs and its calling AE: the study is then a normal one, and stays."""
    probe = begun(store)
    job = drafted(store, reviewing, probe)
    uid = probe.study_instance_uid
    store.add_instance(
        Instance(
            sop_instance_uid=f"{uid}.{sop}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{uid}.200",
            study_instance_uid=uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=Path("/spool") / f"{uid}.{sop}.{digest}",
            digest=digest,
            size=1,
        ),
        calling_ae="WETREADPROBE",
        association_id="b",
        eligible=True,
    )
    assert [name for name, found in seen(store).items() if not found] == []
    assert not store.is_probe(probe)
    assert not store.forget_probe(probe)
    assert store.job(job.id).has_draft
    assert len(store.instances(uid)) == 2


def test_an_image_before_the_registration_is_no_check(store, reviewing):
    """A study counts as a check only with the registered digest."""
    probe = begun(store)
    reviewing.drafted(store, probe.study_instance_uid)
    assert len(store.jobs()) == 1


def test_nothing_of_a_check_is_left_but_its_result(store, reviewing):
    """No row of any table names its study or job, except its own and the audit trail's."""
    probe = begun(store)
    job = drafted(store, reviewing, probe)
    store.advance_probe(probe, ProbeStage.CLEAN)
    store.end_probe(probe, ProbeOutcome.PASSED)
    assert store.forget_probe(probe, ["pacs"])
    with store._reading() as session:
        for table in inspect(session.connection()).get_table_names():
            if table in {"probes", "audit_trail"}:
                continue
            for row in session.execute(text(f'SELECT * FROM "{table}"')):  # noqa: S608 - a table's name
                assert probe.study_instance_uid not in map(str, row), table
                assert job.id not in map(str, row), table
    [kept] = store.probes()
    assert (kept.outcome, kept.left_at) == (ProbeOutcome.PASSED, ("pacs",))
    assert kept.cleaned_at is not None
    assert store.claim_probe("sweeper", 60) is None


def test_every_table_that_references_a_job_is_emptied():
    """A new table with a foreign key to jobs has to be added to OF_JOBS."""
    jobs, studies = JobRow.__table__, StudyRow.__table__
    own = {each.__table__.name for each in OF_JOBS}
    referencing = {
        table.name
        for table in Base.metadata.tables.values()
        if any(key.column.table is jobs for key in table.foreign_keys)
    }
    assert referencing - BY_PERSONS == own
    of_studies = {
        table.name
        for table in Base.metadata.tables.values()
        if any(key.column.table is studies for key in table.foreign_keys)
    }
    assert of_studies == {"instances", "jobs", "study_identities"}


def test_one_check_at_a_time_and_one_in_a_period(store, clock):
    """Also where two sweepers begin it at once; another sweeper continues after the lease."""
    probe = begun(store)
    assert not store.begin_probe("slot 1")
    assert not store.begin_probe("slot 2")
    assert store.claim_probe("other", 60) is None
    clock.move(61)
    assert store.claim_probe("other", 60).id == probe.id
    store.end_probe(probe, ProbeOutcome.FAILED, "The receiver does not answer.")
    assert not store.begin_probe("slot 1")
    assert store.begin_probe("slot 2")


def test_health_says_failed_late_and_well_again(store, clock):
    """A failure lasts until a check passes; a check without an end in time is late."""
    period, limit = timedelta(minutes=60), timedelta(minutes=10)

    def health():
        return store.probe_health(period, limit)

    assert (health().fault, health().latest) == ("", None)
    first = begun(store)
    store.advance_probe(first, ProbeStage.READ)
    store.end_probe(first, ProbeOutcome.FAILED, "No draft.")
    assert health().fault == "The end-to-end check failed at drafting by the model: No draft."
    store.forget_probe(first)
    clock.move(3600)
    store.begin_probe("slot 2")
    second = store.claim_probe("sweeper", 60)
    assert store.end_probe(second, ProbeOutcome.PASSED)
    assert (health().fault, health().is_late) == ("", False)
    clock.move(4201)
    assert health().is_late
    assert "in time" in health().fault
