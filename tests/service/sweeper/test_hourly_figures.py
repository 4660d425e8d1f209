"""The thread of the sweeper that keeps the hourly figures."""

import threading
from contextlib import closing

from service.store import Store
from service.sweeper.hourly_figures import FigureUpdater, keep_until
from service.throughput.balance import StudyClass
from service.throughput.hours import hour_of
from tests.service.store.records import arrive, claimed


def started(store):
    """Start the thread; return the figure keeper and a function that stops the thread."""
    keeper, stop = FigureUpdater(store), threading.Event()
    thread = threading.Thread(target=keep_until, args=(keeper, stop))
    thread.start()

    def end():
        stop.set()
        thread.join(10)
        assert not thread.is_alive()

    return keeper, end


def test_the_first_run_fills_the_older_hours(store, clock, eventually):
    """After an upgrade, while the sweeper continues; then the thread waits a minute."""
    arrive(store)
    begun = hour_of(clock())
    clock.move(40 * 3600)
    keeper, end = started(store)
    try:
        eventually(lambda: keeper.is_filled, seconds=30, what="the older hours")
    finally:
        end()
    figures = {each.hour: each for each in store.hourly_figures(begun)}
    assert len(figures) == 41
    assert figures[begun].balance.studies == {StudyClass.WAITING: 1}


def test_an_outage_of_the_database_ends_nothing(tmp_path):
    """The thread tries again, and ends when it is stopped."""
    with closing(Store(f"sqlite:///{tmp_path / 'missing' / 'wetread.db'}")) as store:
        keeper, end = started(store)
        end()
    assert not keeper.is_filled


def test_hours_of_a_stop_of_the_sweeper_are_computed_afterwards(store, clock):
    """Also those of failures that were repaired before it was started again."""
    FigureUpdater(store).keep()
    clock.move(5 * 3600)
    job = claimed(store)
    store.fail(job.id, job.fence, "MODEL_ERROR", "It failed.")
    failed_in = hour_of(clock())
    clock.move(3 * 3600)
    store.retry(job.id, "ann")
    clock.move(40 * 3600)
    FigureUpdater(store).keep()
    (found,) = [each for each in store.hourly_figures(failed_in) if each.hour == failed_in]
    assert found.failures == {"MODEL_ERROR": 1}
    assert found.balance.studies == {StudyClass.WAITING: 1}
