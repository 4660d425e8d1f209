"""Hourly figures equal a direct computation from studies, jobs and their histories."""

import random
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from service.audit import AuditAction, AuditEvent
from service.database.engine import make_engine
from service.jobs import JobState, ReasonCode
from service.records import Arrival, ArrivedInstance
from service.store import Store
from service.store.throughput.computing import UNKNOWN_CAUSE, computed
from service.sweeper.hourly_figures import FigureUpdater
from service.throughput.balance import JobClass, StudyClass
from service.throughput.histogram import LatencyHistogram
from service.throughput.hours import Depth, hour_of, together
from tests.service.store.records import arrive, claimed, deliver_all, drafted, image, schedule

OF_JOB = {
    JobState.SCHEDULED: JobClass.WAITING,
    JobState.IN_PROGRESS: JobClass.READING,
    JobState.DRAFTED: JobClass.DELIVERING,
    JobState.COMPLETED: JobClass.DELIVERED,
    JobState.NOT_ANALYSED: JobClass.NOT_ANALYZED,
    JobState.FAILED: JobClass.FAILED,
    JobState.CANCELED: JobClass.CANCELED,
}
AUDIT = AuditEvent(action=AuditAction.READ_AGAIN, actor="ann (web page)")


class Walk:
    """A random walk of studies and jobs through the store's own functions.

    A process that is killed (`kill -9`) leaves the commit of its last transaction: a study without
    a job, a job with a lease that ends, a delivery that is being sent.
    """

    def __init__(self, store, clock, seed):
        self.store, self.clock, self.random = store, clock, random.Random(seed)
        self.studies = []

    def run(self, steps):
        """Take steps; time passes between them."""
        for _ in range(steps):
            step = self.random.choice(
                [
                    self.arrive,
                    self.arrive,
                    self.release,
                    self.release,
                    self.read,
                    self.read,
                    self.read,
                    self.deliver,
                    self.deliver,
                    self.operate,
                    self.sweep,
                ]
            )
            step()
            self.clock.move(self.random.choice([0.3, 2, 40, 900]))

    def arrive(self):
        """An Instance of a new or a known study; documents begin no job."""
        study = f"1.2.{len(self.studies) + 1}"
        if self.studies and self.random.random() < 0.3:
            study = self.random.choice(self.studies)
        else:
            self.studies.append(study)
        number = self.random.randrange(1, 4)
        arrive(self.store, number, study=study, sha=self.random.choice("ab"), quiet_seconds=5)

    def release(self):
        """A study is complete, or the process was killed before it made the job."""
        if self.studies and self.random.random() < 0.8:
            schedule(self.store, self.random.choice(self.studies))

    def jobs(self, *states):
        """Jobs in these states."""
        return self.store.jobs(states, limit=1000)

    def read(self):
        """A worker takes a job, and drafts, fails, hands back, or is killed."""
        for job in self.jobs(JobState.SCHEDULED)[:2]:
            held = self.store.claim_reading(job.id, "reader", 30)
            if held is None:
                continue
            self.clock.move(self.random.uniform(1, 20))
            match self.random.randrange(6):
                case 0 | 1 | 2:
                    names = self.random.choice([(), ("PACS",), ("PACS", "VNA")])
                    drafted(self.store, held, names)
                case 3:
                    code = self.random.choice(["MODEL_ERROR", "PIXELS"])
                    self.store.fail(held.id, held.fence, code, "It failed.")
                case 4:
                    self.store.not_analysed(held.id, held.fence, "LATERAL", "A lateral image.")
                case _:
                    pass  # killed

    def deliver(self):
        """A delivery is confirmed, fails for good, or its worker is killed."""
        found = self.store.claim_delivery(None, "sender", 30, {})
        if found is None:
            return
        match self.random.randrange(4):
            case 0 | 1:
                self.store.confirm_delivery(found[0].id, found[0].fence)
            case 2:
                self.store.fail_delivery(found[0].id, found[0].fence, "PACS refused it.")
            case _:
                pass  # killed

    def operate(self):
        """A person cancels or tries again."""
        jobs = self.jobs(JobState.FAILED, JobState.NOT_ANALYSED, JobState.SCHEDULED)
        if jobs:
            job = self.random.choice(jobs)
            act = self.store.cancel if job.state is JobState.SCHEDULED else self.store.retry
            act(job.id, "ann")

    def sweep(self):
        """The sweeper makes the jobs of quiet studies, and takes back what was lost."""
        now = self.clock()
        for study in self.store.quiet_studies(now):
            schedule(self.store, study)
        for job in self.store.lapsed(now):
            self.store.hand_back(
                job.id, job.fence, ReasonCode.LEASE_EXPIRED, "Lost.", lapsed_at=now
            )
        self.store.take_back_deliveries(now)


def direct(store, studies):
    """Compute the figures by hour from the records of jobs and their histories, one by one."""
    found = defaultdict(lambda: (Counter(), Counter(), [], Counter()))
    waiting = {each.study_instance_uid for each in store.arriving(limit=10_000)}
    rows = store.instances_after(0, limit=10_000)
    numbers = {(each.sop_instance_uid, each.digest): each.id for each in rows}
    for study in studies:
        instances = store.instances(study)
        jobs = sorted(store.jobs(study=study, limit=1000), key=lambda each: each.revision)
        first = hour_of(min(each.received_at for each in instances))
        found[first][0][study_class(jobs, is_waiting=study in waiting)] += 1
        for job in jobs:
            made = found[hour_of(job.created_at)]
            made[1][JobClass.SUPERSEDED if job.superseded_by else OF_JOB[job.state]] += 1
            confirmed = [each.at for each in store.events(job.id) if each.action == "confirm"]
            if confirmed:
                read = [
                    each.received_at
                    for each in instances
                    if not each.conflict
                    and numbers[each.sop_instance_uid, each.digest] <= job.read_through
                ]
                made[2].append((min(confirmed) - max(read)).total_seconds())
            for event in store.events(job.id):
                if event.action == "fail":
                    cause = {"It failed.": "by code"}.get(event.reason, "NOT_DELIVERED")
                    found[hour_of(event.at)][3][cause] += 1
    return found


def study_class(jobs, *, is_waiting):
    """Return the class of a study with these jobs."""
    if is_waiting:
        return StudyClass.WAITING
    kept = [job for job in jobs if job.state is not JobState.CANCELED] or jobs
    if not kept:
        return StudyClass.NO_IMAGE
    job = kept[-1]
    if job.superseded_by or job.state in (JobState.DRAFTED, JobState.COMPLETED):
        return StudyClass.DRAFTED
    if job.state in (JobState.SCHEDULED, JobState.IN_PROGRESS):
        return StudyClass.WAITING
    return StudyClass(OF_JOB[job.state].value)


@pytest.mark.parametrize("seed", [1, 2])
def test_hours_equal_a_direct_computation_after_a_random_walk(store, clock, seed):
    """Stored and computed at once; the balance holds in each hour, with any process killed."""
    begun = clock()
    walk = Walk(store, clock, seed)
    keeper = FigureUpdater(store)
    for _ in range(4):
        walk.run(30)
        keeper.keep()
    expected = direct(store, walk.studies)
    while not keeper.is_filled:
        keeper.compute_older()
    keeper.keep()
    figures = {each.hour: each for each in store.hourly_figures(begun)}
    assert len(figures) >= 6
    for hour, (studies, jobs, latencies, failures) in expected.items():
        found = figures[hour]
        assert found.balance.studies == studies
        assert found.balance.jobs == jobs
        assert found.latency == LatencyHistogram.of(latencies)
        assert found.failures.get("NOT_DELIVERED", 0) == failures["NOT_DELIVERED"]
        assert sum(found.failures.values()) == failures.total()
        assert found.balance.holds
    whole = together(begun, list(figures.values())).balance
    assert (whole.received, whole.made) == (len(walk.studies), len(store.jobs(limit=10_000)))
    assert StudyClass.DRAFTED in whole.studies


def test_computing_again_writes_nothing_and_a_late_change_is_found(store, clock):
    """An hour is final once it was computed after its end; a retry days later changes it."""
    job = claimed(store)
    store.fail(job.id, job.fence, "MODEL_ERROR", "It failed.")
    hour = hour_of(clock())
    assert store.compute_hours([hour]) == 1
    assert store.compute_hours([hour]) == 1
    clock.move(3 * 86_400)
    assert store.compute_hours([hour]) == 1
    assert store.compute_hours([hour]) == 0
    since = clock()
    clock.move(60)
    store.retry(job.id, "ann")
    assert store.changed_hours(since) == {hour}
    assert store.compute_hours(store.changed_hours(since)) == 1
    (found,) = [each for each in store.hourly_figures(hour) if each.hour == hour]
    assert found.balance.studies == {StudyClass.WAITING: 1}
    assert found.failures == {"MODEL_ERROR": 1}


def test_hours_without_a_sweeper_are_computed_for_the_page(store, clock):
    """The latest 26 hours; the older ones stay missing until the sweeper has computed them."""
    begun = clock()
    arrive(store)
    clock.move(30 * 3600)
    arrive(store, study="1.2.4")
    figures = store.hourly_figures(begun)
    assert len(figures) == 26
    assert sum(each.balance.received for each in figures) == 1
    keeper = FigureUpdater(store)
    keeper.keep()
    assert not keeper.is_filled
    while not keeper.is_filled:
        keeper.compute_older()
    assert sum(each.balance.received for each in store.hourly_figures(begun)) == 2


def test_the_depth_of_an_hour_is_the_largest_that_was_measured(store, clock):
    """Of jobs without a draft and the age of the oldest; computing the hour keeps it."""
    arrive(store)
    schedule(store)
    clock.move(600)
    arrive(store, study="1.2.4")
    schedule(store, "1.2.4")
    assert store.measure_depth() == Depth(waiting=2, oldest_seconds=600.0)
    for job in store.jobs():
        store.cancel(job.id, "ann")
    clock.move(60)
    assert store.measure_depth() == Depth(waiting=0, oldest_seconds=0.0)
    store.compute_hours([hour_of(clock())])
    assert store.hourly_figures(clock())[-1].depth == Depth(waiting=2, oldest_seconds=600.0)


def test_a_failure_of_an_earlier_version_has_the_cause_of_its_job(store, database_url):
    """Its event has no code; of a job that was tried again the cause is not known."""
    jobs = [claimed(store, study=f"1.2.{number}") for number in (4, 5)]
    for job in jobs:
        store.fail(job.id, job.fence, "MODEL_ERROR", "It failed.")
    store.retry(jobs[0].id, "ann")
    execute(database_url, "UPDATE job_events SET code = ''")
    assert store.hourly_figures(store.now())[-1].failures == {"MODEL_ERROR": 1, UNKNOWN_CAUSE: 1}


def test_a_study_without_a_job_is_unaccounted_until_its_job_is_made(store, clock, database_url):
    """Found in an hour of long ago too; repaired once, with a record in the audit trail."""
    arrive(store)
    begun = clock()
    execute(database_url, "UPDATE studies SET quiet_at = NULL")
    clock.move(2 * 86_400)
    keeper = FigureUpdater(store)
    keeper.keep()
    while not keeper.is_filled:
        keeper.compute_older()
    assert store.unaccounted_hours() == [hour_of(begun)]
    (study,) = store.unaccounted_studies(store.unaccounted_hours())
    assert store.schedule_unaccounted(store.unaccounted_hours(), AUDIT) == 1
    assert store.schedule_unaccounted(store.unaccounted_hours(), AUDIT) == 0
    assert store.quiet_studies(clock()) == [study.study_instance_uid]
    assert schedule(store, study.study_instance_uid) is not None
    keeper.keep()
    assert store.unaccounted_hours() == []


def test_documents_alone_are_no_image(store):
    """Neither is a copy that conflicts with an image of another study; both get no job."""
    report = replace(image(study="1.2.4"), sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11")
    arrived = ArrivedInstance(
        instance=report,
        calling_ae="PACS",
        association_id="A1",
        eligible=False,
        begins_job=False,
    )
    arrive(store)
    copy = replace(image(sha="b"), study_instance_uid="1.2.5")
    conflict = replace(arrived, instance=copy, eligible=True, begins_job=True)
    assert store.add_instances([arrived, conflict]) == [Arrival.NEW, Arrival.CONFLICT]
    found = store.hourly_figures(store.now())[-1].balance
    assert found.studies == {StudyClass.NO_IMAGE: 2, StudyClass.WAITING: 1}
    assert found.holds


def test_old_figures_are_removed(store, clock):
    """The counts by cause, caller and model earlier than the others."""
    job = claimed(store)
    store.fail(job.id, job.fence, "MODEL_ERROR", "It failed.")
    begun = clock()
    store.compute_hours([hour_of(begun)])
    clock.move(40 * 3600)
    store.forget_hours(begun - timedelta(days=1), clock())
    (found,) = [each for each in store.hourly_figures(begun) if each.hour == hour_of(begun)]
    assert (found.balance.received, found.callers, found.failures) == (1, {}, {})
    store.forget_hours(clock(), clock())
    assert hour_of(begun) not in [each.hour for each in store.hourly_figures(begun)]


def test_a_reading_that_a_person_asks_for_again_has_no_latency(store, clock):
    """Its images arrived long before."""
    job = claimed(store)
    deliver_all(store, drafted(store, job))
    clock.move(5 * 86_400)
    again = schedule(store, force=True)
    held = store.claim_reading(again.id, "reader", 60)
    deliver_all(store, drafted(store, held))
    assert store.hourly_figures(clock())[-1].latency.n == 0


def execute(url, statement):
    """Change rows as no function of the store does."""
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.mark.slow
def test_an_hour_with_any_number_of_studies_is_computed(postgres_server, postgres_template, clock):
    """Studies without a job, of which each is looked up: more than one statement holds."""
    store = Store(postgres_server.new_database(template=postgres_template), clock=clock)
    arrive(store, study="1.2")
    copies = """
        INSERT INTO studies SELECT copy.* FROM studies study, generate_series(1, 66000) number,
        LATERAL jsonb_populate_record(study, jsonb_build_object(
            'study_instance_uid', '1.3.' || number, 'quiet_at', NULL)) copy
    """
    with store._writing() as session:
        session.execute(text(copies))
        figures = computed(session, hour_of(clock()))
    assert sum(figures.balance.studies.values()) == 66_001
    store.close()
