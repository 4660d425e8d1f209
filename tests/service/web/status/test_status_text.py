from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.destination_backlog import Trouble
from service.jobs import JobState
from service.records import ProcessBeat, ProcessStatus
from service.web.status.status_text import SystemStatus, delivery_reason, notice_reason, why
from service.web.status.system_status import waited_for

NO_CARD = "cuda: this machine has 0 CUDA devices"


def beat(role: str, seconds_ago: float = 1.0) -> ProcessBeat:
    """Return the heartbeat of a process of this role some seconds ago."""
    return ProcessBeat(
        name=f"{role}@host",
        role=role,
        host="host",
        pid=1,
        started_at=datetime.now(UTC),
        seen_at=datetime.now(UTC) - timedelta(seconds=seconds_ago),
        restarts=0,
        detail="",
    )


def situation(*processes: ProcessBeat, broker_fault: str = "") -> SystemStatus:
    """Return the system status now with these processes."""
    return SystemStatus(now=datetime.now(UTC), broker_fault=broker_fault, processes=processes)


def test_a_waiting_job_states_that_no_reading_worker_ever_reported_itself(seeder):
    """Without any reading worker the reason states it."""
    reason = why(seeder.waiting(1), (), situation(beat("delivery"))).plain()
    assert reason == (
        "Waiting for a worker: no reading worker is alive, and none has reported itself so far."
    )


def test_a_waiting_job_states_when_the_last_reading_worker_was_seen(seeder):
    """A worker that has been silent for a minute counts as dead, and its last heartbeat is named."""
    silent = beat("reading", 60)
    reason = why(seeder.waiting(1), (), situation(silent)).plain()
    assert reason.startswith("Waiting for a worker: no reading worker is alive; the last was seen ")
    assert silent.seen_at.isoformat(timespec="seconds") in reason


def test_a_waiting_job_states_why_the_model_did_not_load(seeder):
    """The worker's reason is shown, also while it tries again; not once it works."""
    failed = replace(beat("reading"), status=ProcessStatus.NOT_LOADED, reason=NO_CARD)
    loading = replace(beat("reading"), status=ProcessStatus.LOADING)
    job = seeder.waiting(1)
    for processes in ((failed,), (failed, loading)):
        assert (
            why(job, (), situation(*processes))
            .plain()
            .startswith(
                "Waiting for a worker: no reading worker is alive: the model could not be loaded: "
                "cuda: this machine has 0 CUDA devices. The last try was "
            )
        )
    working = replace(beat("reading"), detail="ready")
    assert why(job, (), situation(failed, working)).plain().startswith("Waiting in the queue")


def test_a_waiting_job_states_that_the_broker_is_away(seeder):
    """With a live worker and without Redis, Redis is the reason."""
    now = situation(beat("reading"), broker_fault="Redis does not answer.")
    reason = why(seeder.waiting(1), (), now).plain()
    assert reason == "Waiting for the message broker: Redis does not answer."


def test_a_waiting_job_waits_for_its_turn_when_all_is_well(seeder):
    """With a worker and a broker the job waits for its turn."""
    reason = why(seeder.waiting(1), (), situation(beat("reading"))).plain()
    assert reason.startswith("Waiting in the queue.")


def test_a_waiting_job_states_how_many_are_before_it(seeder):
    """The oldest is the next; an urgent one overtakes; one that tries again later delays none."""
    first, second, third = (seeder.waiting(number) for number in (1, 2, 3))
    held = seeder.reading(4)
    seeder.store.hand_back(held.id, held.fence, "OOM", "The GPU ran out of memory.", 600)
    now = SystemStatus(
        now=datetime.now(UTC), processes=(beat("reading"),), ahead=seeder.store.ahead()
    )
    reasons = [why(job, (), now).plain() for job in (first, second, third)]
    assert reasons[0].startswith("Waiting in the queue: it is next.")
    assert reasons[1].startswith("Waiting in the queue: 1 is before it.")
    assert reasons[2].startswith("Waiting in the queue: 2 are before it.")
    urgent = seeder.waiting(5, urgent=True)
    places = seeder.store.ahead()
    assert [places[job.id] for job in (urgent, first, second, third)] == [0, 1, 2, 3]
    now = replace(now, ahead=places, urgent=seeder.store.urgent_waiting())
    reasons = [why(job, (), now).plain() for job in (urgent, first, third)]
    assert reasons[0].startswith("Waiting in the queue: it is next.")
    assert reasons[1].startswith("Waiting in the queue: 1 urgent is before it.")
    assert reasons[2].startswith("Waiting in the queue: 3 are before it, 1 of them urgent.")
    assert held.id not in places


def test_a_job_that_was_handed_back_names_its_next_try_and_the_error(seeder):
    """After a temporary error the reason has the time of the next try and the error."""
    held = seeder.reading(1)
    job = seeder.store.hand_back(held.id, held.fence, "OOM", "The GPU ran out of memory.", 600)
    reason = why(job, (), situation()).plain()
    assert reason.startswith("Next try ")
    assert reason.endswith(", after: The GPU ran out of memory.")


def test_a_job_in_work_names_its_worker_until_the_lease_ends(seeder):
    """The holder is named while it is alive, and reported as silent once its lease has ended."""
    held = seeder.reading(1)
    assert why(held, (), situation()).plain() == "Being read by reading@gpu-1."
    later = SystemStatus(now=held.lease_until + timedelta(seconds=1))
    assert "sends no heartbeat" in why(held, (), later).plain()


def test_a_draft_that_a_destination_does_not_take_names_it_and_the_error(seeder):
    """One that answers and refuses is named, with tries, first time, error and next try."""
    job = seeder.drafted(1, ("orthanc", "pacs"))
    seeder.deliver(job)
    seeder.deliver(job, error="connection refused.")
    reason = why(job, seeder.store.deliveries(job.id), situation(beat("delivery"))).plain()
    assert reason.startswith("pacs did not accept it (1 try, the first ")
    assert "): connection refused. Next try at 20" in reason


def test_a_draft_waits_for_a_delivery_worker_when_none_is_alive(seeder):
    """Nothing sent yet and no delivery worker: that is the reason."""
    job = seeder.drafted(1)
    reason = why(job, seeder.store.deliveries(job.id), situation()).plain()
    assert reason.startswith("Waiting to be sent: no delivery worker is alive")


def test_every_ended_job_has_a_reason(seeder):
    """Not analyzed, failed, canceled and completed jobs all have a text."""
    store = seeder.store
    lateral, broken, unwanted = seeder.reading(1), seeder.reading(2), seeder.waiting(3)
    ended = [
        store.not_analysed(lateral.id, lateral.fence, "NOT_FRONTAL", "It is a lateral image."),
        store.fail(broken.id, broken.fence, "PIXELS", "The pixels end early."),
        store.cancel(unwanted.id, "admin", "Sent twice."),
        seeder.completed(4),
    ]
    reasons = [why(job, store.deliveries(job.id), situation()).plain() for job in ended]
    assert reasons == [
        "It is a lateral image.",
        "The pixels end early.",
        "Sent twice.",
        "Read back from orthanc.",
    ]
    assert [job.state for job in ended] == [
        JobState.NOT_ANALYSED,
        JobState.FAILED,
        JobState.CANCELED,
        JobState.COMPLETED,
    ]


def test_a_job_of_another_model_states_whose_worker_is_missing(seeder):
    """A worker of the first model does not count; a model that is no longer configured is named."""
    job = seeder.waiting(1)
    first = {"other": "reading", job.model_name: f"reading.{job.model_name}"}
    reason = why(job, (), replace(situation(beat("reading")), roles=first)).plain()
    assert reason.startswith(
        f"Waiting for a worker: no reading worker of the model {job.model_name} is alive"
    )
    own = beat(f"reading.{job.model_name}")
    assert (
        why(job, (), replace(situation(own), roles=first))
        .plain()
        .startswith("Waiting in the queue")
    )
    gone = {"other": "reading"}
    reason = why(job, (), replace(situation(beat("reading")), roles=gone)).plain()
    assert f"No model named {job.model_name} is configured." in reason


UNREACHED = "orthanc cannot be reached: it gave no answer within 30 s"


def unreached(seeder, *processes: ProcessBeat, later: float = 0.0) -> SystemStatus:
    """Return the system status some seconds from now, with the backlog of each destination."""
    now = situation(*processes)
    at = now.now + timedelta(seconds=later)
    return replace(now, now=at, backlogs=waited_for(seeder.store, ["orthanc"]))


@pytest.mark.parametrize("tried", [0, 1])
def test_a_result_for_a_destination_out_of_reach_states_since_when_and_the_next_try(seeder, tried):
    """The result that was tried, and one that waits behind it without a try of its own."""
    jobs = [seeder.drafted(1), seeder.drafted(2)]
    seeder.deliver(jobs[0], error=UNREACHED, trouble=Trouble.SILENT)
    first = seeder.store.deliveries(jobs[0].id)[0]
    deliveries = seeder.store.deliveries(jobs[tried].id)
    reason = why(jobs[tried], deliveries, unreached(seeder, beat("delivery"))).plain()
    assert reason == (
        "Waiting for orthanc, which cannot be reached since "
        f"{first.created_at.isoformat(timespec='seconds')}; "
        f"next try at {first.not_before.isoformat(timespec='seconds')}. {UNREACHED}."
    )


def test_a_next_try_whose_time_has_come_waits_for_a_worker(seeder):
    """It is never called "now": the time until a worker takes it is not known."""
    job = seeder.drafted(1)
    seeder.deliver(job, error=UNREACHED, trouble=Trouble.SILENT)
    now = unreached(seeder, beat("delivery"), later=700)
    reason = why(job, seeder.store.deliveries(job.id), now).plain()
    assert "; next try as soon as a delivery worker is free. " in reason


def test_a_notice_of_doubt_states_why_it_waits_as_a_draft_does(seeder):
    """The destination is unreachable for the notice, too."""
    job = seeder.drafted(1)
    seeder.deliver(job, error=UNREACHED, trouble=Trouble.SILENT)
    (delivery,) = seeder.store.deliveries(job.id)
    notice = replace(delivery, notice="digest", last_error="", not_before=None)
    reason = notice_reason(notice, unreached(seeder)).plain()
    assert reason.startswith(
        "The notice that the draft is in doubt: Waiting for orthanc, which cannot be reached since 20"
    )
    assert "; next try at 20" in reason


def test_a_try_that_is_under_way_is_reported_for_a_destination_out_of_reach(seeder):
    """A second result is being tried while the destination is unreachable."""
    tried, trying = seeder.drafted(1), seeder.drafted(2)
    seeder.deliver(tried, error=UNREACHED, trouble=Trouble.SILENT)
    seeder.store.claim_delivery(trying.id, "w", 60, {})
    deliveries = seeder.store.deliveries(trying.id)
    reason = delivery_reason(deliveries[0], unreached(seeder)).plain()
    assert "cannot be reached since" in reason
    assert "; a try is under way. " in reason


def test_a_destination_that_answers_again_is_no_longer_out_of_reach(seeder):
    """After a confirmation the earlier timeout is no reason any more."""
    tried, sent, waiting = (seeder.drafted(number) for number in (1, 2, 3))
    seeder.deliver(tried, error=UNREACHED, trouble=Trouble.SILENT)
    seeder.deliver(sent)
    reason = why(waiting, seeder.store.deliveries(waiting.id), unreached(seeder)).plain()
    assert "cannot be reached" not in reason


def test_a_result_behind_a_destination_that_refuses_reports_it(seeder):
    """It was never tried itself: the text names the error of the results that were."""
    tried, waiting = seeder.drafted(1), seeder.drafted(2)
    seeder.deliver(tried, error="orthanc has no room", trouble=Trouble.REFUSED)
    now = unreached(seeder, beat("delivery"))
    reason = why(waiting, seeder.store.deliveries(waiting.id), now).plain()
    assert reason == (
        "Waiting to be sent to orthanc, which did not accept the latest result: orthanc has no room."
    )


@pytest.mark.parametrize(
    ("read_back", "expected"),
    [
        (True, "Read back from orthanc."),
        (False, "Acknowledged by orthanc, not read back."),
        (None, "No result is of a kind for orthanc."),
    ],
)
def test_a_delivered_job_states_how_its_results_were_confirmed(seeder, read_back, expected):
    """Only a result that was read back is called so, with the deliveries at hand and without."""
    job = seeder.drafted(1)
    delivery, _ = seeder.store.claim_delivery(job.id, "w", 60, {})
    seeder.store.confirm_delivery(delivery.id, delivery.fence, read_back=read_back)
    done, deliveries = seeder.store.job(job.id), seeder.store.deliveries(job.id)
    for given in ((), deliveries):
        assert why(done, given, situation()).plain() == expected
    shown = delivery_reason(deliveries[0], situation()).plain()
    assert ("; read back" in shown) is bool(read_back)
