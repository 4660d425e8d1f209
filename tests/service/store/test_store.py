import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from dicom.content.report import DraftReport, ModelIdentity, Predecessor, SourceImage
from dicom.study import Instance
from service.database import schema
from service.errors import LeaseLost, NotFound, SchemaMismatch, StoreUnavailable
from service.jobs import DeliveryState, IllegalTransition, JobState
from service.records import Arrival, JobRequest, ResultObject, StatusReport
from service.store import Store
from service.store.deliveries import MAX_LAPSES

STUDY = "1.2.3"
MODEL = {"model": "tiny", "version": "1"}
DRAFT_REPORT = "1.2.840.10008.5.1.4.1.1.88.11"


def image(number=1, *, study=STUDY, sha="a"):
    """An image of the study; the same number is the same SOP Instance UID."""
    return Instance(
        sop_instance_uid=f"{study}.1.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid=f"{study}.1",
        study_instance_uid=study,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path(f"/spool/{study}/{number}-{sha}.dcm"),
        digest=sha * 64,
        size=1000 + number,
    )


def arrive(store, number=1, *, association="A1", eligible=True, **other):
    """Add an image; return what the store found."""
    keep = {key: other.pop(key) for key in ("study", "sha") if key in other}
    return store.add_instance(
        image(number, **keep),
        calling_ae="MODALITY",
        association_id=association,
        eligible=eligible,
        **other,
    )


def schedule(store, study=STUDY, **other):
    """Schedule the study; return the job or None."""
    return store.schedule(study, **MODEL, actor="intake", reason="Released.", **other)


def claimed(store, number=1, study=STUDY, **other):
    """A job of a new image, IN_PROGRESS, held by "reader" for a minute."""
    arrive(store, number, study=study, **other)
    return store.claim_reading(schedule(store, study).id, "reader", 60)


def draft_of(job, source=1):
    """A draft about the image number `source`."""
    return DraftReport(
        study_instance_uid=job.study_instance_uid,
        source=SourceImage(
            sop_instance_uid=f"{job.study_instance_uid}.1.{source}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{job.study_instance_uid}.1",
            rows=10,
            columns=20,
        ),
        revision=job.revision,
        produced_at=job.produced_at,
        findings_text=("The lungs are clear.",),
        model=ModelIdentity(name="tiny", version="1", weights_sha256="0" * 64),
    )


def objects_of(job):
    """The records of two objects made for the job."""
    return [
        ResultObject(
            kind=kind,
            sop_class_uid=DRAFT_REPORT,
            sop_instance_uid=f"2.25.{int(job.id, 16) + number}",
            series_instance_uid=f"2.25.{number + 9}",
            study_instance_uid=job.study_instance_uid,
            path=Path(f"/outbox/{job.id}/{kind}.dcm"),
            sha256="b" * 64,
        )
        for number, kind in enumerate(("draft-report", "overlay"))
    ]


def drafted(store, job, destinations=("PACS",), source=1):
    """Keep a draft for a claimed job; return the job."""
    return store.draft(job.id, job.fence, draft_of(job, source), objects_of(job), destinations)


def deliver_all(store, job):
    """Confirm every open delivery of the job."""
    while found := store.claim_delivery(job.id, "sender", 60, {}):
        store.confirm_delivery(found[0].id, found[0].fence)
    return store.job(job.id)


def actions(store, job):
    """The actions in the job's history, in order."""
    return [event.action for event in store.events(job.id)]


class TestArrival:
    """What `add_instance` keeps."""

    def test_an_image_is_kept_with_its_time(self, store, clock):
        """A new image has its sender and the time by the clock of the store, to the microsecond."""
        assert arrive(store) is Arrival.NEW
        (kept,) = store.instances(STUDY)
        assert kept.received_at == clock()
        assert kept.calling_ae == "MODALITY"
        assert store.study(STUDY).instances == (image(),)

    def test_the_same_image_again_changes_nothing(self, store, clock):
        """The same bytes again are SAME, keep their first time, and do not prolong the quiet time."""
        arrive(store, quiet_seconds=2)
        clock.move(1.5)
        assert arrive(store, association="A2", quiet_seconds=2) is Arrival.SAME
        assert len(store.instances(STUDY)) == 1
        assert store.quiet_studies(clock.move(0.5)) == [STUDY]

    def test_the_same_uid_with_other_bytes_is_kept_apart(self, store):
        """Other bytes under a known UID are a CONFLICT, reported once, and never read."""
        arrive(store)
        assert arrive(store, sha="b") is Arrival.CONFLICT
        assert arrive(store, sha="b") is Arrival.CONFLICT
        assert [kept.conflict for kept in store.instances(STUDY)] == [False, True]
        assert store.study(STUDY).instances == (image(),)
        (incident,) = store.incidents()
        assert (incident.kind, incident.subject) == ("conflict", image().sop_instance_uid)

    def test_many_senders_of_the_same_uid_leave_one_image(self, store):
        """Eight threads with different bytes under one UID: one image, seven conflicts."""
        answers = []

        def send(sha):
            answers.append(arrive(store, sha=sha))

        threads = [threading.Thread(target=send, args=(sha,)) for sha in "abcdef01"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [Arrival.CONFLICT] * 7 + [Arrival.NEW]
        assert len(store.study(STUDY).instances) == 1

    def test_a_study_that_was_not_sent_is_not_found(self, store):
        """Asking for an unknown study is NotFound."""
        with pytest.raises(NotFound):
            store.study("9.9")


class TestCompletion:
    """When a study counts as complete."""

    def test_a_release_completes_the_studies_of_eligible_images(self, store):
        """Only studies to which the released association brought an image that may be read."""
        arrive(store, 1, study="1.1")
        arrive(store, 1, study="1.2", eligible=False)
        arrive(store, 1, study="1.3", association="A2")
        assert store.completed_by(["A1"]) == [("1.1", "MODALITY")]

    def test_several_releases_complete_each_study_once(self, store):
        """Two images of one study on two associations, and another study."""
        arrive(store, 1, study="1.1")
        arrive(store, 2, study="1.1", association="A2")
        arrive(store, 1, study="1.2", association="A2")
        arrive(store, 1, study="1.3", association="A3")
        complete = store.completed_by(["A1", "A2"])
        assert sorted(complete) == [("1.1", "MODALITY"), ("1.2", "MODALITY")]

    def test_many_studies_become_jobs_in_one_transaction(self, store):
        """Each by its own rule: a new one, one that waits already, one that none can read again."""
        for study in ("1.1", "1.2", "1.3"):
            arrive(store, study=study)
        waits = schedule(store, "1.2")
        read = store.claim_reading(schedule(store, "1.3").id, "reader", 60)
        arrive(store, 2, study="1.3", eligible=False)
        wanted = [
            JobRequest(study_instance_uid=study, model="tiny", version="1")
            for study in ("1.3", "1.2", "1.1")
        ]
        (job,) = store.schedule_all(wanted, actor="intake", reason="Released.")
        assert [job] == store.jobs(study="1.1")
        assert (job.study_instance_uid, job.calling_ae) == ("1.1", "MODALITY")
        assert [event.action for event in store.events(job.id)] == ["schedule"]
        assert [each.id for each in store.jobs(study="1.2")] == [waits.id]
        assert "later_films" in [event.action for event in store.events(read.id)]
        assert store.completed_by(["A1"]) == []

    def test_one_unknown_study_makes_no_job_of_the_others(self, store):
        """All or none: what was not made stays due for the sweeper."""
        arrive(store, study="1.1")
        wanted = [
            JobRequest(study_instance_uid=study, model="tiny", version="1")
            for study in ("1.1", "9.9")
        ]
        with pytest.raises(NotFound):
            store.schedule_all(wanted, actor="intake", reason="Released.")
        assert store.jobs() == []
        assert store.completed_by(["A1"]) == [("1.1", "MODALITY")]

    def test_a_broken_association_leaves_it_to_the_quiet_time(self, store, clock):
        """Without a release nothing is complete until the caller's quiet time has passed."""
        arrive(store, quiet_seconds=5)
        assert store.quiet_studies(clock.move(4.9)) == []
        assert store.quiet_studies(clock.move(0.2)) == [STUDY]

    def test_a_scheduled_study_is_not_quiet_any_more(self, store, clock):
        """Once there is a job, neither a release nor the quiet time makes another."""
        arrive(store)
        assert schedule(store) is not None
        assert store.quiet_studies(clock.move(60)) == []
        assert store.completed_by(["A1"]) == []


class TestLaterImages:
    """The rule for images that come after the first job."""

    def test_before_the_claim_nothing_is_added(self, store):
        """An image that comes while the job waits is read by that job."""
        arrive(store, 1)
        job = schedule(store)
        arrive(store, 2)
        assert schedule(store) is None
        held = store.claim_reading(job.id, "reader", 60)
        read = store.study(STUDY, through=held.read_through)
        assert [each.sop_instance_uid for each in read.instances] == ["1.2.3.1.1", "1.2.3.1.2"]

    def test_after_the_claim_there_is_a_new_revision_that_waits(self, store):
        """An image that comes while the job is read makes revision 2, claimable once 1 is read."""
        first = claimed(store, 1)
        arrive(store, 2)
        second = schedule(store)
        assert (second.revision, second.supersedes) == (2, first.id)
        assert store.claim_reading(second.id, "reader", 60) is None
        assert len(store.study(STUDY, through=first.read_through).instances) == 1
        drafted(store, first)
        held = store.claim_reading(second.id, "reader", 60)
        assert len(store.study(STUDY, through=held.read_through).instances) == 2

    def test_the_waiting_revision_is_published_when_the_first_is_read(self, store, clock):
        """Leaving the reading makes the next revision due for a message at once."""
        first = claimed(store, 1)
        arrive(store, 2)
        second = schedule(store)
        ago = clock() - timedelta(seconds=15)
        assert store.due_readings(clock(), ago) == []
        drafted(store, first)
        assert [job.id for job in store.due_readings(clock(), ago)] == [second.id]

    def test_a_retry_of_a_superseded_attempt_reads_its_own_images(self, store):
        """An attempt that is repeated after a later revision was made reads what it read before."""
        first = claimed(store, 1)
        arrive(store, 2)
        schedule(store)
        store.hand_back(first.id, first.fence, "X", "It failed.")
        again = store.claim_reading(first.id, "reader", 60)
        assert again.read_through == first.read_through
        assert again.produced_at == first.produced_at

    def test_a_new_draft_supersedes_the_earlier_one(self, store):
        """Each names the other, and the earlier draft report can be named as predecessor."""
        first = claimed(store, 1)
        drafted(store, first)
        second = claimed(store, 2)
        previous = store.previous_draft(second.id)
        assert previous.id == first.id
        report = objects_of(first)[0]
        assert store.predecessor(previous) == Predecessor(
            sop_instance_uid=report.sop_instance_uid,
            sop_class_uid=report.sop_class_uid,
            series_instance_uid=report.series_instance_uid,
        )
        after = drafted(store, second, source=2)
        assert after.supersedes == first.id
        assert store.job(first.id).superseded_by == second.id

    def test_a_reading_without_change_lets_the_earlier_draft_stand(self, store):
        """CANCELED with NO_CHANGE does not supersede, and the third revision follows the first."""
        first = claimed(store, 1)
        drafted(store, first)
        second = claimed(store, 2)
        ended = store.cancel_unchanged(second.id, second.fence, "NO_CHANGE", "Nothing changes.")
        assert (ended.state, ended.reason_code) == (JobState.CANCELED, "NO_CHANGE")
        assert store.job(first.id).superseded_by is None
        third = claimed(store, 3)
        assert third.revision == 3
        assert store.previous_draft(third.id).id == first.id

    def test_later_images_that_cannot_be_read_make_no_job(self, store):
        """They get a line in the history of the job that stands."""
        first = claimed(store, 1)
        arrive(store, 2, eligible=False)
        assert schedule(store) is None
        assert actions(store, first)[-1] == "later_films"

    def test_a_job_without_eligible_image_is_read_again_with_more(self, store):
        """NOT_ANALYSED is no draft: any later image is worth a look."""
        first = claimed(store, 1, eligible=False)
        store.not_analysed(first.id, first.fence, "NOT_FRONTAL", "Only a lateral image.")
        arrive(store, 2, eligible=False)
        assert schedule(store).revision == 2

    def test_nothing_new_makes_no_job_unless_forced(self, store):
        """The same images are not read twice, except by a person's wish."""
        first = claimed(store, 1)
        drafted(store, first)
        assert schedule(store) is None
        again = schedule(store, force=True)
        assert (again.revision, again.forced) == (2, True)

    def test_a_job_canceled_before_its_claim_stays_canceled(self, store):
        """Its images are not scheduled again by the next release or quiet time."""
        arrive(store)
        job = schedule(store)
        store.cancel(job.id, "admin")
        assert schedule(store) is None

    def test_images_and_claims_at_once_leave_no_image_unread(self, store):
        """Whatever the interleaving, each image is covered by a claimed job or by one that waits."""
        arrive(store, 1)
        first = schedule(store)
        claimer = threading.Thread(target=store.claim_reading, args=(first.id, "reader", 60))
        claimer.start()
        for number in range(2, 12):
            arrive(store, number)
            schedule(store)
        claimer.join()
        waiting = store.jobs((JobState.SCHEDULED,))
        held = store.job(first.id)
        newest = store.study(STUDY).instances[-1]
        covered = store.study(STUDY, through=held.read_through).instances
        assert waiting or newest in covered


class TestQueries:
    """What pages and commands ask."""

    def test_a_job_is_found_by_a_unique_beginning_of_its_id(self, store):
        """Eight characters do; fewer than four, wild cards and unknown ids are NotFound."""
        arrive(store)
        job = schedule(store)
        assert store.job(job.id[:8]).id == job.id
        for wrong in ("%", "abc", "0" * 32, "../../etc"):
            with pytest.raises(NotFound):
                store.job(wrong)

    def test_an_ambiguous_beginning_is_reported_as_such(self, store, monkeypatch):
        """Two jobs that begin alike: the sentence asks for more."""
        ids = iter(["abcd" + "0" * 28, "abcd" + "1" * 28])
        monkeypatch.setattr("service.store.scheduling.new_id", lambda: next(ids))
        for study in ("1.1", "1.2"):
            arrive(store, study=study)
            schedule(store, study)
        with pytest.raises(NotFound, match="several"):
            store.job("abcd")

    def test_jobs_are_paged_from_the_newest(self, store, clock):
        """`before` continues exactly where the page ended, also among equal times."""
        for number in range(5):
            arrive(store, study=f"1.{number + 1}")
            schedule(store, f"1.{number + 1}")
            if number % 2:
                clock.move(1)
        listed = store.jobs(limit=10)
        paged = store.jobs(limit=2)
        while page := store.jobs(limit=2, before=paged[-1].id):
            paged += page
        assert paged == listed
        assert len(listed) == 5
        assert listed == sorted(listed, key=lambda job: job.created_at, reverse=True)
        assert [job.study_instance_uid for job in store.jobs(study="1.3")] == ["1.3"]

    def test_counts_have_every_state(self, store):
        """States without jobs count 0; the oldest waiting job is known."""
        assert set(store.counts().values()) == {0}
        assert store.oldest_waiting() is None
        first = claimed(store, 1, study="1.1")
        claimed(store, 1, study="1.2")
        assert store.counts()[JobState.IN_PROGRESS] == 2
        assert store.oldest_waiting().id == first.id

    def test_the_version_changes_with_every_change(self, store, clock):
        """Images, jobs, events and incidents each give another word; looking does not."""
        seen = [store.version()]

        def differs():
            seen.append(store.version())
            return seen[-1] not in seen[:-1]

        arrive(store)
        assert differs()
        job = schedule(store)
        assert differs()
        clock.move(1)
        store.claim_reading(job.id, "reader", 60)
        assert differs()
        store.record_incident(actor="receiver", kind="refused", subject="OTHER", detail="Unknown.")
        assert differs()
        assert not differs()


class TestLedger:
    """Heartbeats."""

    def test_a_process_is_listed_until_it_signs_off(self, store, clock):
        """A second beat moves the time and the detail, not the row."""
        begun = clock()
        about = {"host": "h", "pid": 7, "started_at": begun}
        store.beat("reading@h:7", "reading", **about, report=StatusReport("loading the model"))
        later = clock.move(5)
        store.beat("reading@h:7", "reading", **about, report=StatusReport("ready"))
        (beat,) = store.processes()
        assert (beat.started_at, beat.seen_at, beat.detail) == (begun, later, "ready")
        store.sign_off("reading@h:7")
        assert store.processes() == []

    def test_silent_processes_are_dropped_once(self, store, clock):
        """Of several sweepers one gets the row."""
        store.beat("web@h", "web", host="h", pid=1, started_at=clock())
        before = clock.move(61) - timedelta(seconds=60)
        assert [beat.name for beat in store.remove_silent_processes(before)] == ["web@h"]
        assert store.remove_silent_processes(before) == []


class TestFaults:
    """No error of the database library leaves the package."""

    def test_a_database_without_tables_is_a_schema_mismatch(self, tmp_path):
        """The sentence names the command that helps."""
        empty = Store(f"sqlite:///{tmp_path / 'empty.db'}")
        with pytest.raises(SchemaMismatch, match="wetread db upgrade"):
            empty.jobs()

    @pytest.mark.serial
    def test_a_locked_database_is_unavailable(self, database_url):
        """A writer that waits longer than the busy time gets StoreUnavailable, in that time."""
        first, second = Store(database_url), Store(database_url, busy_seconds=0.3)
        arrive(first)
        with first._writing() as session:
            first._lock_study(session, STUDY)
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                arrive(second, 2)
            assert time.monotonic() - begun < 3
        assert arrive(second, 2) is Arrival.NEW

    def test_a_postgres_that_died_is_unavailable_and_then_back(
        self, postgres_server_class, postgres_folder
    ):
        """After kill -9 and a restart the same store works again, without an error in between."""
        from service.database import schema  # noqa: PLC0415 - used here only

        server = postgres_server_class(postgres_folder)
        server.start()
        try:
            url = server.new_database()
            schema.upgrade(url)
            store = Store(url, busy_seconds=2)
            arrive(store, 1)
            server.kill()
            with pytest.raises(StoreUnavailable):
                arrive(store, 2)
            server.start()
            assert arrive(store, 2) is Arrival.NEW
            assert len(store.instances(STUDY)) == 2
        finally:
            server.stop()

    def test_a_full_disk_is_unavailable_and_loses_nothing(self, database_url):
        """When the database may not grow, the image is refused and what was kept stays."""
        store = Store(database_url)
        if not store._is_sqlite:
            pytest.skip("the page limit is SQLite's")
        arrive(store, 1)
        with store._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailable):
            [arrive(store, number) for number in range(2, 400)]
        assert image() in store.study(STUDY).instances

    def test_a_time_without_zone_is_refused(self, database_url):
        """A clock that does not say its zone is a fault of the program."""
        store = Store(database_url, clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - the fault
        with pytest.raises(Exception, match=r"time without zone|refused"):
            arrive(store)
        good = Store(database_url, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
        assert arrive(good) is Arrival.NEW


def test_a_stale_holder_may_write_nothing(store, clock):
    """After its job was taken back and claimed by another, every write of the first is LeaseLost."""
    first = claimed(store)
    clock.move(61)
    store.hand_back(first.id, first.fence, "LEASE_EXPIRED", "Lost.", lapsed_at=clock())
    second = store.claim_reading(first.id, "other", 60)
    before = store.events(first.id)
    writes = (
        lambda: store.extend(first.id, first.fence, 60),
        lambda: drafted(store, first),
        lambda: store.not_analysed(first.id, first.fence, "X", "x"),
        lambda: store.cancel_unchanged(first.id, first.fence, "X", "x"),
        lambda: store.fail(first.id, first.fence, "X", "x"),
        lambda: store.hand_back(first.id, first.fence, "X", "x"),
        lambda: store.give_up(first.id, first.fence, "X", "x", clock.now),
    )
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    assert store.events(first.id) == before
    assert store.objects(first.id) == []
    assert store.job(first.id) == second


def test_a_live_lease_is_not_taken_back(store, clock):
    """A holder that extended in time keeps its job although the sweeper had it on its list."""
    job = claimed(store)
    clock.move(61)
    (seen,) = store.lapsed(clock())
    store.extend(job.id, job.fence, 60)
    with pytest.raises(LeaseLost):
        store.hand_back(seen.id, seen.fence, "LEASE_EXPIRED", "Lost.", lapsed_at=clock())
    assert store.lapsed(clock()) == []


def test_eight_threads_claim_the_same_job_and_one_gets_it(store):
    """Of eight that claim at once exactly one holds the job, and it was claimed once."""
    arrive(store)
    job = schedule(store)
    gate, got = threading.Barrier(8), []

    def claim(number):
        gate.wait()
        got.append(store.claim_reading(job.id, f"reader {number}", 60))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (holder,) = [each for each in got if each is not None]
    assert (holder.fence, holder.attempts) == (1, 1)
    assert actions(store, job).count("claim") == 1


class TestLife:
    """From the claim to the end."""

    def test_the_draft_comes_back_as_it_went_in(self, store):
        """DRAFTED holds the draft, its objects in order, and a PENDING delivery for each destination."""
        job = claimed(store)
        after = drafted(store, job, ("A", "B"))
        assert after.state is JobState.DRAFTED
        assert store.job(job.id).draft == draft_of(job)
        assert store.objects(job.id) == objects_of(job)
        states = {each.destination: each.state for each in store.deliveries(job.id)}
        assert states == {"A": DeliveryState.PENDING, "B": DeliveryState.PENDING}

    def test_without_destination_a_draft_is_the_end(self, store):
        """The job is COMPLETED at once and says why nothing was sent."""
        job = claimed(store)
        after = drafted(store, job, ())
        assert (after.state, after.reason_code) == (JobState.COMPLETED, "NO_DESTINATION")
        assert actions(store, job) == ["schedule", "claim", "draft", "confirm"]

    def test_an_error_that_may_pass_waits_and_keeps_the_first(self, store, clock):
        """The job is due again after the delay; attempts, first and last error stay on the row."""
        job = claimed(store)
        store.hand_back(job.id, job.fence, "OOM", "First.", 4)
        assert store.claim_reading(job.id, "reader", 60) is None
        assert store.due_readings(clock(), clock()) == []
        clock.move(4)
        assert [each.id for each in store.due_readings(clock(), clock())] == [job.id]
        again = store.claim_reading(job.id, "reader", 60)
        ended = store.fail(job.id, again.fence, "OOM", "Second.")
        assert (ended.attempts, ended.first_error, ended.last_error) == (2, "First.", "Second.")

    def test_a_worker_that_stops_costs_no_attempt(self, store):
        """Handing back uncounted leaves attempts and errors alone."""
        job = claimed(store)
        after = store.hand_back(job.id, job.fence, "WORKER_STOPPED", "Stopped.", counted=False)
        assert (after.state, after.attempts, after.first_error) == (JobState.SCHEDULED, 0, "")

    def test_a_cancel_stops_the_holder(self, store):
        """A person cancels a job that is being read: its holder has lost the lease."""
        job = claimed(store)
        assert store.cancel(job.id, "admin").state is JobState.CANCELED
        with pytest.raises(LeaseLost):
            store.extend(job.id, job.fence, 60)
        with pytest.raises(IllegalTransition):
            store.cancel(job.id, "admin")

    def test_a_retry_reads_again_or_sends_again(self, store):
        """Without a draft the job is SCHEDULED afresh; with one, only what failed is sent again."""
        job = claimed(store)
        store.fail(job.id, job.fence, "X", "It failed.")
        again = store.retry(job.id, "admin")
        assert (again.state, again.attempts, again.first_error) == (JobState.SCHEDULED, 0, "")
        held = store.claim_reading(job.id, "reader", 60)
        drafted(store, held, ("A", "B"))
        for verdict in (store.confirm_delivery, lambda *a: store.fail_delivery(*a, "No.")):
            delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
            verdict(delivery.id, delivery.fence)
        assert store.job(job.id).state is JobState.FAILED
        assert store.retry(job.id, "admin").state is JobState.DRAFTED
        delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
        assert delivery.destination == "B"
        assert store.confirm_delivery(delivery.id, delivery.fence) is JobState.COMPLETED
        with pytest.raises(IllegalTransition):
            store.retry(job.id, "admin")

    def test_an_earlier_revision_is_not_sent_after_a_later_one(self, store):
        """Its draft would arrive last and look like the newest; once the later is withdrawn it may."""
        first = claimed(store, 1)
        drafted(store, first, ("A",))
        delivery, _ = store.claim_delivery(first.id, "sender", 60, {})
        store.fail_delivery(delivery.id, delivery.fence, "No.")
        second = claimed(store, 2)
        drafted(store, second, ("A",), source=2)
        with pytest.raises(IllegalTransition, match="later revision"):
            store.retry(first.id, "admin")
        store.withdraw(second.id, "admin", "Withdrawn.")
        assert store.retry(first.id, "admin").state is JobState.DRAFTED

    def test_a_claim_that_meets_a_cancel_finds_nothing(self, postgres_url):
        """The worker's thread continues: a cancel that is being committed is no fault of the claim."""
        schema.upgrade(postgres_url)
        store = Store(postgres_url)
        arrive(store)
        job = schedule(store)
        address = postgres_url.replace("+psycopg", "")
        with ThreadPoolExecutor(1) as pool:
            with psycopg.connect(address) as cancel:
                cancel.execute("UPDATE jobs SET state = 'CANCELED' WHERE id = %s", [job.id])
                claim = pool.submit(store.claim_reading, job.id, "reader", 60)
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                while not cancel.execute(waiting).fetchone()[0]:
                    time.sleep(0.01)
            assert claim.result(timeout=30) is None
        store.close()

    def test_urgent_is_due_first(self, store, clock):
        """A job made urgent is published again at once, before older ones."""
        jobs = []
        for number in range(3):
            arrive(store, study=f"1.{number + 1}")
            jobs.append(schedule(store, f"1.{number + 1}"))
            clock.move(1)
        store.make_urgent(jobs[2].id, "admin")
        due = store.due_readings(clock(), clock())
        assert [job.id for job in due] == [jobs[2].id, jobs[0].id, jobs[1].id]
        assert due[0].published_at is None

    def test_an_urgent_image_makes_the_job_urgent(self, store):
        """One image of an urgent caller is enough."""
        arrive(store, 1)
        arrive(store, 2, urgent=True)
        assert schedule(store).urgent


class TestDeliveries:
    """Results on their way."""

    def test_the_last_confirmation_completes_the_job(self, store):
        """Two destinations that confirm at the same time complete the job exactly once."""
        job = claimed(store)
        drafted(store, job, ("A", "B"))
        claims = [store.claim_delivery(job.id, "sender", 60, {})[0] for _ in range(2)]
        gate = threading.Barrier(2)

        def confirm(delivery):
            gate.wait()
            store.confirm_delivery(delivery.id, delivery.fence)

        threads = [threading.Thread(target=confirm, args=(each,)) for each in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.job(job.id).state is JobState.COMPLETED
        assert actions(store, job).count("confirm") == 1

    def test_the_limit_of_a_destination_holds_among_threads(self, store):
        """Of eight that claim at once no more than three send to the same destination."""
        for number in range(8):
            drafted(store, claimed(store, study=f"1.{number + 1}"), ("A",))
        gate, got = threading.Barrier(8), []

        def claim():
            gate.wait()
            got.append(store.claim_delivery(None, "sender", 60, {"A": 3}))

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        claims = [each for each in got if each]
        assert len(claims) == 3
        assert len({delivery.id for delivery, _ in claims}) == 3
        store.confirm_delivery(claims[0][0].id, claims[0][0].fence)
        assert store.claim_delivery(None, "sender", 60, {"A": 3}) is not None

    def test_a_full_destination_does_not_hold_up_another(self, store):
        """With A at its limit the delivery to B is what comes next."""
        job = claimed(store)
        drafted(store, job, ("A", "B"))
        assert store.claim_delivery(job.id, "s", 60, {"A": 1})[0].destination == "A"
        other = claimed(store, study="1.9")
        drafted(store, other, ("A", "B"))
        names = {store.claim_delivery(None, "s", 60, {"A": 1})[0].destination for _ in range(2)}
        assert names == {"B"}
        assert store.claim_delivery(None, "s", 60, {"A": 1}) is None

    def test_a_postponed_delivery_waits_for_its_time(self, store, clock):
        """It is due after the delay; the first error stays, attempts count."""
        job = claimed(store)
        drafted(store, job)
        delivery, objects = store.claim_delivery(job.id, "s", 60, {})
        assert list(objects) == objects_of(job)
        store.postpone_delivery(delivery.id, delivery.fence, "Refused.", 2)
        assert store.claim_delivery(job.id, "s", 60, {}) is None
        clock.move(2)
        again, _ = store.claim_delivery(job.id, "s", 60, {})
        assert (again.attempts, again.first_error) == (2, "Refused.")

    def test_a_stale_sender_may_write_nothing(self, store, clock):
        """After its lease ended and another sends, its confirmation is LeaseLost."""
        job = claimed(store)
        drafted(store, job)
        stale, _ = store.claim_delivery(job.id, "s", 60, {})
        assert store.take_back_deliveries(clock.move(60)) == 1
        fresh, _ = store.claim_delivery(job.id, "t", 60, {})
        for write in (
            lambda: store.confirm_delivery(stale.id, stale.fence),
            lambda: store.fail_delivery(stale.id, stale.fence, "No."),
            lambda: store.postpone_delivery(stale.id, stale.fence, "No.", 1),
            lambda: store.extend_delivery(stale.id, stale.fence, 60),
        ):
            with pytest.raises(LeaseLost):
                write()
        store.extend_delivery(fresh.id, fresh.fence, 60)
        assert store.confirm_delivery(fresh.id, fresh.fence) is JobState.COMPLETED

    def test_one_refusal_fails_the_job_after_the_others_are_done(self, store):
        """The job waits for the destination that may still take it, then fails and says which."""
        job = claimed(store)
        drafted(store, job, ("A", "B"))
        first, _ = store.claim_delivery(job.id, "s", 60, {})
        second, _ = store.claim_delivery(job.id, "s", 60, {})
        assert store.fail_delivery(first.id, first.fence, "It said no.") is JobState.DRAFTED
        assert store.confirm_delivery(second.id, second.fence) is JobState.FAILED
        failed = store.job(job.id)
        assert (failed.reason_code, failed.reason) == ("NOT_DELIVERED", "A: It said no.")
        assert store.delivery_counts() == {
            ("A", DeliveryState.FAILED): 1,
            ("B", DeliveryState.CONFIRMED): 1,
        }

    def test_after_retention_a_study_that_comes_again_can_be_read_again(self, store):
        """Without its images a retry asks for them; with them it reads, as the old results are gone."""
        job = claimed(store)
        drafted(store, job, ("A",))
        delivery, _ = store.claim_delivery(job.id, "s", 60, {})
        store.fail_delivery(delivery.id, delivery.fence, "It said no.")
        for each in store.spooled(STUDY):
            store.mark_instance_removed(each)
        store.removed(job.id, "Ended long ago.")
        with pytest.raises(IllegalTransition, match="send the study again"):
            store.retry(job.id, "admin")
        assert arrive(store) is Arrival.SAME
        again = store.retry(job.id, "admin")
        assert (again.state, again.removed_at) == (JobState.SCHEDULED, None)
        assert again.produced_at == job.produced_at  # some destination may hold these results
        drafted(store, store.claim_reading(job.id, "reader", 60), ("A",))
        assert deliver_all(store, job).state is JobState.COMPLETED

    def test_after_retention_a_study_that_comes_again_is_a_new_revision(self, store, clock):
        """The release makes it at once; an image that comes after its claim makes another."""
        arrive(store, 1)
        arrive(store, 2)
        job = store.claim_reading(schedule(store).id, "reader", 60)
        store.not_analysed(job.id, job.fence, "NO_FRONTAL", "No frontal image.")
        for each in store.spooled(STUDY):
            store.mark_instance_removed(each)
        store.removed(job.id, "Ended long ago.")
        assert store.spooled(STUDY) == []
        clock.move(60)
        assert arrive(store, 1, association="A2") is Arrival.SAME
        assert store.completed_by(["A2"]) == [(STUDY, "MODALITY")]
        second = schedule(store)
        assert (second.revision, second.supersedes) == (2, job.id)
        held = store.claim_reading(second.id, "reader", 60)
        assert store.study(STUDY, through=held.read_through).instances == (image(1),)
        assert arrive(store, 2, association="A3") is Arrival.SAME
        assert store.quiet_studies(clock.move(60)) == [STUDY]
        assert schedule(store).revision == 3
        assert arrive(store, 2, association="A4") is Arrival.SAME
        assert store.completed_by(["A4"]) == []
        assert len(store.instances(STUDY)) == 2

    def test_a_delivery_that_loses_its_worker_again_and_again_fails(self, store, clock):
        """After five losses in a row it is FAILED with a sentence; a retry sends it afresh."""
        job = drafted(store, claimed(store), ("A",))
        for _ in range(MAX_LAPSES - 1):
            store.claim_delivery(job.id, "s", 60, {})
            assert store.take_back_deliveries(clock.move(61)) == 1
            assert [each.state for each in store.deliveries(job.id)] == [DeliveryState.PENDING]
        store.claim_delivery(job.id, "s", 60, {})
        assert store.take_back_deliveries(clock.move(61)) == 1
        assert [each.state for each in store.deliveries(job.id)] == [DeliveryState.FAILED]
        failed = store.job(job.id)
        assert (failed.state, failed.reason_code) == (JobState.FAILED, "NOT_DELIVERED")
        assert "lost 5 times in a row" in failed.reason
        store.retry(job.id, "admin")
        store.claim_delivery(job.id, "s", 60, {})
        assert store.take_back_deliveries(clock.move(61)) == 1
        assert deliver_all(store, job).state is JobState.COMPLETED

    def test_only_lost_workers_in_a_row_count_against_a_delivery(self, store, clock):
        """A destination that does not answer begins the count anew, and a worker's stop is no loss."""
        job = drafted(store, claimed(store), ("A",))
        for number in range(3 * MAX_LAPSES):
            delivery, _ = store.claim_delivery(job.id, "s", 60, {})
            if number % MAX_LAPSES == 1:
                store.postpone_delivery(delivery.id, delivery.fence, "It is away.", 0)
            elif number % 2:
                store.take_back_deliveries(clock.now, owner="s")
            else:
                store.take_back_deliveries(clock.move(61))
        assert [each.state for each in store.deliveries(job.id)] == [DeliveryState.PENDING]

    def test_a_canceled_job_is_sent_nowhere(self, store):
        """Its open deliveries are CANCELED, and a sender that is at it has lost the lease."""
        job = claimed(store)
        drafted(store, job, ("A", "B"))
        delivery, _ = store.claim_delivery(job.id, "s", 60, {})
        store.cancel(job.id, "admin")
        with pytest.raises(LeaseLost):
            store.confirm_delivery(delivery.id, delivery.fence)
        assert store.claim_delivery(None, "s", 60, {}) is None
        assert store.retry(job.id, "admin").state is JobState.DRAFTED
        assert deliver_all(store, job).state is JobState.COMPLETED


def test_urgent_jobs_of_another_model_do_not_hide_ones_own(store):
    """However many of another model wait for longer, the next of this model is found."""
    for number in range(70):
        study = f"1.9.{number}"
        arrive(store, study=study)
        store.schedule(study, model="other", version="1", actor="t", reason="", urgent=True)
    assert store.next_urgent("tiny") is None
    arrive(store, study="1.8.1")
    routine = store.schedule("1.8.1", model="tiny", version="1", actor="t", reason="")
    assert store.next_urgent("tiny") is None
    store.make_urgent(routine.id, "Ann")
    assert store.next_urgent("tiny") == routine.id


def test_jobs_of_another_model_do_not_hide_a_place_in_line(store):
    """The places of a model's jobs are counted within that model, and so is the limit."""
    for number, model in enumerate(("other", "other", "other", "tiny", "tiny")):
        study = f"1.9.{number}"
        arrive(store, study=study)
        store.schedule(study, model=model, version="1", actor="t", reason="")
    assert sorted(store.ahead(2).values()) == [0, 0, 1, 1]
