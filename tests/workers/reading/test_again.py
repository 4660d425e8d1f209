"""Results once more: sent again to all or one destination, read again by the same or another model."""

from dataclasses import replace

import pytest

from service.errors import NotFound, SelectionError
from service.jobs import DeliveryState, IllegalTransition, JobState
from service.maintenance.repeat_jobs import (
    RepeatOrder,
    chosen,
    parse_selection,
    reread,
    resend,
    run_order,
)
from service.settings.config import load_settings
from service.store.operator.repeats import Selection

CONFIRMED = DeliveryState.CONFIRMED


def folder(tmp_path, name):
    """A folder destination."""
    return {"kind": "folder", "name": name, "path": str(tmp_path / name)}


@pytest.fixture
def bench(bench_of, tmp_path):
    """Two folders as destinations."""
    return bench_of(folder(tmp_path, "A"), folder(tmp_path, "B"))


def sent(bench, number=1, names=None):
    """Return a COMPLETED job."""
    job = bench.drafted(f"1.2.{number}", names)
    bench.task(job.id)
    return bench.store.job(job.id)


def files(tmp_path, name):
    """Return the results at a destination."""
    return sorted(path.name for path in (tmp_path / name).rglob("*.dcm"))


def lose(tmp_path, name):
    """Delete all objects of a destination."""
    for path in (tmp_path / name).rglob("*.dcm"):
        path.unlink()


def test_a_completed_job_is_sent_again_to_every_destination(bench, store, tmp_path):
    """After a PACS lost its results they are sent, read back, and the job is COMPLETED once more."""
    job = sent(bench)
    before = files(tmp_path, "A")
    lose(tmp_path, "A")
    lose(tmp_path, "B")
    again = resend(store, bench.settings, job.id, actor="Ann (command line)", reason="restored")
    assert again.state is JobState.DRAFTED
    bench.task(job.id)
    assert bench.state(job) == (JobState.COMPLETED, {"A": CONFIRMED, "B": CONFIRMED})
    assert files(tmp_path, "A") == files(tmp_path, "B") == before
    event = next(each for each in store.events(job.id) if each.action == "resend")
    assert event.actor == "Ann (command line)"
    assert event.reason == "Sent again to A, B by Ann (command line). restored"


def test_one_destination_only(bench, store, tmp_path):
    """The other one is left as it is."""
    job = sent(bench)
    lose(tmp_path, "A")
    lose(tmp_path, "B")
    resend(store, bench.settings, job.id, to="B", actor="Ann")
    bench.task(job.id)
    assert bench.state(job) == (JobState.COMPLETED, {"A": CONFIRMED, "B": CONFIRMED})
    assert not files(tmp_path, "A")
    assert files(tmp_path, "B")


def test_a_destination_that_the_job_did_not_have(bench, store, tmp_path):
    """A new archive gets the results of earlier studies."""
    job = sent(bench, names=["A"])
    resend(store, bench.settings, job.id, to="B", actor="Ann")
    bench.task(job.id)
    assert bench.state(job) == (JobState.COMPLETED, {"A": CONFIRMED, "B": CONFIRMED})
    assert files(tmp_path, "A") == files(tmp_path, "B")


def test_a_job_that_failed_at_one_destination_stays_so_until_that_one_has_it(bench, store):
    """Sent again to the other one, the job ends FAILED with the same reason; to all, COMPLETED."""
    job = bench.drafted()
    claim = bench.delivering.claim(job.id)
    store.fail_delivery(claim.delivery.id, claim.delivery.fence, "It said no.")
    bench.task(job.id)
    assert store.job(job.id).state is JobState.FAILED
    resend(store, bench.settings, job.id, to="B", actor="Ann")
    bench.task(job.id)
    assert (store.job(job.id).state, store.job(job.id).reason) == (
        JobState.FAILED,
        "A: It said no.",
    )
    resend(store, bench.settings, job.id, actor="Ann")
    bench.task(job.id)
    assert store.job(job.id).state is JobState.COMPLETED


def test_a_canceled_job_is_sent_where_it_is_asked_for_only(bench, store, tmp_path):
    """What was canceled stays so; the job is COMPLETED by the destination that got it."""
    job = bench.drafted()
    store.cancel(job.id, "Ann")
    resend(store, bench.settings, job.id, to="B", actor="Ann")
    bench.task(job.id)
    assert bench.state(job) == (
        JobState.COMPLETED,
        {"A": DeliveryState.CANCELED, "B": CONFIRMED},
    )
    assert not files(tmp_path, "A")


def test_what_cannot_be_sent_again_is_refused_with_a_message(bench, store):
    """An unknown destination, a job without results, one withdrawn, superseded, or removed."""
    job = sent(bench)
    with pytest.raises(NotFound, match="no destination is named C; configured are: A, B"):
        resend(store, bench.settings, job.id, to="C", actor="Ann")
    waiting = bench.drafts.arrived(store, bench.drafts.image("1.2.9"))
    with pytest.raises(IllegalTransition, match="in the state 'Waiting' does not allow resend"):
        resend(store, bench.settings, waiting.id, actor="Ann")
    store.removed(job.id, "old")
    with pytest.raises(IllegalTransition, match="removed after their retention"):
        resend(store, bench.settings, job.id, actor="Ann")
    recalled = sent(bench, 3)
    store.withdraw(recalled.id, "Ann", "Withdrawn: trial ended")
    with pytest.raises(IllegalTransition, match="withdrawn"):
        resend(store, bench.settings, recalled.id, actor="Ann")


def test_the_notice_of_an_earlier_try_is_no_result(bench, store):
    """A study that was not analyzed, was tried again and failed has no draft: nothing is sent for it."""
    waiting = bench.drafts.arrived(store, bench.drafts.image("1.2.9"))
    first = store.claim_reading(waiting.id, "reader", 60)
    notice = bench.drafts.result(bench.settings.outbox_dir, first)
    store.not_analysed(
        first.id, first.fence, "NO_FRONTAL", "None.", notice=[notice], destinations=["A"]
    )
    bench.task(first.id)
    store.retry(first.id, "Ann")
    second = store.claim_reading(first.id, "reader", 60)
    store.fail(second.id, second.fence, "PIXEL_ERROR", "It cannot be decoded.")
    with pytest.raises(IllegalTransition, match="no results to send"):
        resend(store, bench.settings, first.id, actor="Ann")
    assert store.job(first.id).state is JobState.FAILED


def test_a_person_who_asks_does_not_wait_for_a_silent_destination_s_pause(bench):
    """Sending again ends the pause after timeouts at once; a mere retry does not."""
    job = sent(bench, names=["A"])
    assert bench.delivering.resend_requested(job.id) == frozenset()
    resend(bench.store, bench.settings, job.id, actor="Ann")
    assert bench.delivering.resend_requested(job.id) == {"A"}
    claim = bench.delivering.claim(job.id)
    bench.delivering.give_back(claim, OSError(28, "No space left on device"))
    assert bench.delivering.resend_requested(job.id) == frozenset()


@pytest.fixture
def models(bench):
    """The settings with a second model."""
    further = [{"name": "second", "model": "tiny"}]
    values = bench.settings.model_dump(include={"destinations"})
    return load_settings(
        data_dir=bench.settings.data_dir,
        broker={"url": "redis://127.0.0.1:1/0"},
        destinations=[{**each, "path": str(each["path"])} for each in values["destinations"]],
        models=further,
    )


def test_a_study_is_read_again_as_the_next_revision(bench, store, models):
    """By the same model: forced, to the same destinations, and its draft supersedes the earlier one."""
    job = sent(bench)
    made = reread(store, models, job.id, actor="Ann", reason="new weights")
    assert (made.revision, made.forced, made.state) == (2, True, JobState.SCHEDULED)
    assert (made.model_name, made.destinations) == (job.model_name, job.destinations)
    assert store.events(made.id)[0].actor == "Ann"
    assert store.events(made.id)[0].reason == "Read again, as asked by Ann. new weights"
    now = store.now()
    assert [each.id for each in store.due_readings(now, now)] == [made.id], "it is not published"
    claimed = store.claim_reading(made.id, "reader", 60)
    draft = bench.drafts.draft(bench.drafts.image("1.2.1"), claimed.produced_at, revision=2)
    result = bench.drafts.result(bench.settings.outbox_dir, claimed)
    store.draft(made.id, claimed.fence, draft, [result], ["A", "B"])
    bench.task(made.id)
    assert store.job(made.id).state is JobState.COMPLETED
    assert store.job(job.id).superseded_by == made.id
    with pytest.raises(IllegalTransition, match="later revision"):
        resend(store, models, job.id, actor="Ann")


def test_another_model_reads_the_study_beside_the_first(bench, store, models):
    """Its job is the first revision of that model, in that model's queue."""
    job = sent(bench)
    made = reread(store, models, job.id, model="second", actor="Ann")
    assert (made.model_name, made.revision, made.supersedes) == ("second", 1, None)
    with pytest.raises(NotFound, match="no model is named third; configured are: demo, second"):
        reread(store, models, job.id, model="third", actor="Ann")


def test_a_study_whose_images_were_removed_is_not_read_again(bench, store):
    """The message states it; one that waits to be read already is refused, too."""
    job = sent(bench)
    reread(store, bench.settings, job.id, actor="Ann")
    with pytest.raises(IllegalTransition, match="waits already to be read by demo"):
        reread(store, bench.settings, job.id, actor="Ann")
    other = sent(bench, 2)
    for image in store.spooled("1.2.2"):
        store.mark_instance_removed(image)
    with pytest.raises(IllegalTransition, match="images of this study were removed"):
        reread(store, bench.settings, other.id, actor="Ann")


def test_a_filter_names_the_jobs(bench, store, clock, tmp_path):
    """By state, time, destination, study and model; superseded ones are left out."""
    first = sent(bench, 1)
    clock.move(3600)
    middle = clock.now
    second = sent(bench, 2, ["A"])
    clock.move(1)
    failed = bench.drafted("1.2.3", ["B"])
    claim = bench.delivering.claim(failed.id)
    store.fail_delivery(claim.delivery.id, claim.delivery.fence, "no")
    order = RepeatOrder(action="resend", actor="Ann")

    def matching(**conditions):
        return chosen(store, replace(order, selection=Selection(**conditions)))

    assert matching(since=middle) == [second.id, failed.id]
    assert matching(until=middle) == [first.id]
    assert matching(states=[JobState.FAILED]) == [failed.id]
    assert matching(destination="B") == [first.id, failed.id]
    assert matching(study="1.2.2") == [second.id]
    assert matching(model="demo", destination="A") == [first.id, second.id]
    assert matching(model="other") == []
    with pytest.raises(SelectionError, match="name jobs, or give a condition"):
        chosen(store, order)
    lose(tmp_path, "B")
    done = list(
        run_order(store, bench.settings, replace(order, to="B"), [first.id, "ffffffff", failed.id])
    )
    assert [bool(each.job) for each in done] == [True, False, True]
    assert "there is no job ffffffff" in done[1].refusal
    bench.task(first.id)
    assert bench.state(failed)[0] is JobState.COMPLETED
    assert len(files(tmp_path, "B")) == 2


@pytest.mark.parametrize(
    "conditions",
    [
        {"state": "NONSENSE"},
        {"since": "yesterday"},
        {"until": "2026-13-01"},
        {"color": "red"},
        {"state": [1]},
        {"state": [""]},
        {"since": 0},
        {"study": False},
        {"model": {}},
    ],
)
def test_a_condition_that_is_not_understood_is_no_condition_for_all(conditions):
    """It is refused with a message; nothing is selected by a partial filter."""
    with pytest.raises(SelectionError):
        parse_selection(conditions)
