import contextlib
import subprocess
import sys

from workers.lease import Lease
from workers.reading.job_watch import JobWatch

STUDY = "1.2.3"


def test_a_job_that_its_worker_takes_up_again_is_watched_over_by_claim(store, drafts, tmp_path):
    """The end of the first claim, which was thought lost, does not end the watch over the second."""
    image = tmp_path / "image.dcm"
    image.write_bytes(b"film")
    job = drafts.arrived(store, drafts.image(STUDY, 1, image))
    watch = JobWatch(store, "reader", 60, on_hang=lambda _: None)
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


HOLDS_THE_LOCK = """
import ctypes
import threading

from workers.reading import job_watch as watch

looked = threading.Event()
watch._ALARM_SECONDS = 1.0
watch.JobWatch.look = lambda self: looked.set()
with watch.JobWatch(None, "reader", 1.0, print).kept():
    looked.wait()
    ctypes.PyDLL(None).sleep(100_000)
"""


def test_code_that_never_lets_go_of_pythons_lock_is_ended():
    """Nothing of ours runs any more: an alarm outside of Python ends it and logs where it was."""
    ended = subprocess.run(
        [sys.executable, "-c", HOLDS_THE_LOCK], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 1
    assert "Timeout (0:00:01)!" in ended.stderr
    assert 'File "<string>"' in ended.stderr
