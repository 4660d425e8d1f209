import contextlib

from workers.lease import Lease
from workers.watch import Watch

STUDY = "1.2.3"


def test_a_job_that_its_worker_takes_up_again_is_watched_over_by_claim(store, drafts, tmp_path):
    """The end of the first claim, which was thought lost, does not end the watch over the second."""
    film = tmp_path / "film.dcm"
    film.write_bytes(b"film")
    job = drafts.arrived(store, drafts.film(STUDY, 1, film))
    watch = Watch(store, "reader", 60, on_hang=lambda _: None)
    first = store.claim_reading(job.id, "reader", 60)
    store.hand_back(job.id, first.fence, "LEASE_EXPIRED", "Its worker was lost.")
    second = store.claim_reading(job.id, "reader", 60)
    leases = [Lease(lambda: None, 60), Lease(lambda: None, 60)]
    with contextlib.ExitStack() as later:
        with watch.over(first, leases[0]):
            later.enter_context(watch.over(second, leases[1]))
            assert watch.followed == 2
            watch.look()
            assert [lease.lost for lease in leases] == [True, False]
        assert watch.followed == 1
    assert watch.followed == 0
