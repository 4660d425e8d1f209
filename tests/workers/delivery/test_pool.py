"""A silent destination occupies its own slots only."""

import socket
import threading
import time
from datetime import timedelta

import pytest

from dicom.errors import CannotSendNow
from service.destination_backlog import Trouble
from service.jobs import DeliveryState, JobState
from workers.delivery.bulkheads import MOST_PROBES, OPEN_AFTER, Bulkheads, Outcome
from workers.delivery.delivering import _trouble
from workers.delivery.pool import _outcome

MANY = 200


@pytest.fixture
def hole():
    """The port of a PACS that accepts every connection and never answers; many names may point to it."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        held = []

        def accept():
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in held:
            connection.close()


def silent(port, name, **other):
    """A destination that never answers."""
    values = {"kind": "dimse", "name": name, "host": "127.0.0.1", "port": port, "ae_title": "HOLE"}
    return values | {"timeout": 8} | other


def folder(tmp_path, name="good"):
    """A folder destination."""
    return {"kind": "folder", "name": name, "path": str(tmp_path / name)}


def test_one_healthy_destination_among_hundreds_of_silent_ones(
    bench_of, hole, tmp_path, eventually
):
    """Its first result arrives within seconds, although the silent ones were due before it."""
    names = [f"silent-{number}" for number in range(MANY)]
    # The silent ones answer no sooner than after 25 s: a result that arrives earlier did not wait
    # for them.
    bench = bench_of(*[silent(hole, name, timeout=25) for name in names], folder(tmp_path))
    jobs = [bench.drafted(f"1.5.{number + 1}", names) for number in range(3)]
    last = bench.drafted("1.6.1", ["good"])
    begun = time.monotonic()
    threading.Thread(target=bench.message, args=(jobs[0].id,), daemon=True).start()
    bench.message(last.id)
    eventually(
        lambda: bench.state(last)[0] is JobState.COMPLETED, seconds=30, what="the healthy one"
    )
    assert time.monotonic() - begun < 20
    assert DeliveryState.CONFIRMED not in bench.state(jobs[0])[1].values()
    # And a study that arrives later does not wait either.
    later, begun = bench.drafted("1.6.2", ["good"]), time.monotonic()
    bench.message(later.id)
    eventually(lambda: bench.state(later)[0] is JobState.COMPLETED, seconds=30, what="the later")
    assert time.monotonic() - begun < 20
    bench.stop.set()
    bench.pool.join()


@pytest.mark.serial
def test_a_silent_destination_takes_no_slot_of_another(bench_of, hole, tmp_path, eventually):
    """With as many deliveries allowed to the silent one as there are slots, the other gets its."""
    bench = bench_of(silent(hole, "silent", max_in_flight=8), folder(tmp_path))
    jobs = [bench.drafted(f"1.5.{number + 1}") for number in range(16)]
    begun = time.monotonic()
    for job in jobs:
        bench.message(job.id)
    confirmed = DeliveryState.CONFIRMED
    eventually(
        lambda: all(bench.state(job)[1]["good"] is confirmed for job in jobs),
        seconds=30,
        what="the results in the folder",
    )
    assert time.monotonic() - begun < 8, "a result waited for a timeout of the silent destination"
    states = [bench.state(job)[1]["silent"] for job in jobs]
    assert states.count(DeliveryState.SENDING) == 1
    bench.stop.set()
    bench.pool.join()


def test_a_backlog_is_sent_side_by_side_once_the_destination_has_answered(bench_of, tmp_path):
    """One message is enough for all that is due, also for deliveries without a slot at first."""
    bench = bench_of(folder(tmp_path))
    jobs = [bench.drafted(f"1.5.{number + 1}") for number in range(12)]
    bench.task(jobs[0].id)
    assert {bench.state(job)[0] for job in jobs} == {JobState.COMPLETED}


def test_first_tries_come_before_retries(bench_of, store, clock, tmp_path):
    """Earlier failed results of a destination do not delay new ones; urgent ones are first."""
    bench = bench_of(folder(tmp_path))
    tried = bench.drafted("1.5.1")
    claim = bench.delivering.claim(tried.id)
    bench.delivering.give_back(claim, OSError(28, "No space left on device"))
    fresh, urgent = bench.drafted("1.5.2"), bench.drafted("1.5.3")
    store.make_urgent(urgent.id, "Ann")
    clock.move(60)
    order = [bench.delivering.claim(None).delivery.job_id for _ in range(3)]
    assert order == [urgent.id, fresh.id, tried.id]


class Clock:
    """Seconds that a test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        """Return the time."""
        return self.now


@pytest.fixture
def passing():
    """A clock."""
    return Clock()


@pytest.fixture
def limits(passing):
    """Bulkheads of two destinations with four slots each, three in common."""
    return Bulkheads({"A": 4, "B": 4}, shared_slots=3, first=2, longest=8, clock=passing)


def answered(limits, name):
    """Report a successful delivery to the destination."""
    limits.begin(name)
    limits.end(name, Outcome.ANSWERED)


def fill(limits, name):
    """Begin as many deliveries as there are slots for; return how many."""
    count = 0
    while name not in limits.full() and count < 99:
        limits.begin(name)
        count += 1
    return count


def test_a_destination_shows_that_it_answers_before_it_gets_more_slots(limits):
    """One delivery at once until the first answer, then as many as configured and in shared_slots."""
    assert fill(limits, "A") == 1
    limits.end("A", Outcome.ANSWERED)
    assert fill(limits, "A") == 4


def test_the_stock_leaves_each_destination_its_own_slot(limits):
    """One busy destination can use all of the shared_slots and never the slot of another."""
    answered(limits, "A")
    answered(limits, "B")
    assert fill(limits, "A") == 4
    assert fill(limits, "B") == 1


def test_a_silent_destination_is_tried_once_in_a_while(limits, passing):
    """After some silent tries one probe at a time, with a pause that doubles up to its limit."""
    answered(limits, "A")
    for _ in range(OPEN_AFTER):
        assert "A" not in limits.full()
        limits.begin("A")
        limits.end("A", Outcome.SILENT)
    for pause in (2, 4, 8, 8):
        assert fill(limits, "A") == 0
        passing.now += pause - 0.1
        assert fill(limits, "A") == 0
        passing.now += 0.1
        assert fill(limits, "A") == 1
        limits.end("A", Outcome.SILENT)
    limits.reset(["A"])
    assert fill(limits, "A") == 1
    limits.end("A", Outcome.ANSWERED)
    assert fill(limits, "A") == 4


def test_probes_of_many_silent_destinations_are_limited_together(passing):
    """Hundreds of destinations that are known to be silent use a few slots, the others their own."""
    limits = Bulkheads({}, shared_slots=7, first=2, longest=8, clock=passing)
    names = [f"S{number}" for number in range(300)]
    for name in names:
        for _ in range(OPEN_AFTER):
            limits.begin(name)
            limits.end(name, Outcome.SILENT)
    passing.now += 60
    assert sum(fill(limits, name) for name in names) == MOST_PROBES
    assert fill(limits, "healthy") == 1


def test_the_next_pause_is_known_before_the_try_that_begins_it_has_ended(limits):
    """The page shows when an unreachable destination is tried next: the delivery is due then."""
    foreseen = []
    for _ in range(5):
        limits.begin("A")
        foreseen.append(limits.next_pause("A"))
        limits.end("A", Outcome.SILENT)
    assert foreseen == [0, 0, 2, 4, 8]


def test_a_destination_out_of_reach_is_tried_at_the_time_that_its_result_names(
    bench_of, store, clock, free_port
):
    """A result that was tried once waits as long as the destination that was silent more often."""
    bench = bench_of(silent(free_port(), "A", timeout=1))
    for number in range(OPEN_AFTER + 1):
        last = bench.drafted(f"1.5.{number + 1}")
        bench.task(last.id)
        (delivery,) = store.deliveries(last.id)
        clock.now = delivery.not_before
    assert delivery.attempts == 1
    (state,) = store.backlogs(["A"])
    assert state.next_try_at == delivery.not_before
    clock.now -= timedelta(seconds=1)
    waiting = bench.drafted("1.6.1")
    bench.task(waiting.id)
    assert store.deliveries(waiting.id)[0].attempts == 0
    clock.now = state.next_try_at
    bench.task(waiting.id)
    assert store.deliveries(waiting.id)[0].attempts == 1


def test_what_states_nothing_of_the_destination_changes_nothing(limits):
    """An outage of the database is no silence of the PACS."""
    answered(limits, "A")
    for _ in range(5):
        limits.begin("A")
        limits.end("A", Outcome.UNKNOWN)
    assert fill(limits, "A") == 4


def test_what_this_machine_lacks_shows_nothing_of_the_destination():
    """It neither ends nor begins the silence of a destination, and is reported as a local fault."""
    error = CannotSendNow("no thread could be started on this machine")
    assert _outcome(error) is Outcome.UNKNOWN
    assert _trouble(error) is Trouble.LOCAL
    assert error.transient
