"""The kill switch and the choice of a model in a whole service, from the command line."""

import os
import signal
import time

import pytest

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState

pytestmark = [pytest.mark.dcmtk, pytest.mark.timeout(240)]


def test_a_stop_outlives_the_worker_and_a_choice_needs_no_restart(site_class, tmp_path, free_port):
    """Images are acknowledged and wait; after the start they are read; then the other model reads."""
    pacs = tmp_path / "pacs"
    overrides = {
        "destinations": [{"kind": "folder", "name": "pacs", "path": str(pacs)}],
        "models": [{"name": "second", "model": "demo", "model_version": "7"}],
    }
    (tmp_path / "site").mkdir()
    site = site_class(tmp_path / "site", free_port(), overrides)

    def sent(seed):
        """Send a phantom; return its Study Instance UID."""
        dataset = as_dataset(draw(seed, rows=300, columns=300))
        assert site.store_scu(write(dataset, tmp_path / f"{seed}.dcm")).acknowledged
        return str(dataset.StudyInstanceUID)

    try:
        site.start()
        assert site.command("drafting", "stop", "--reason", "wrong side").returncode == 0
        study = sent(1)
        site.until(lambda: site.jobs(study), seconds=30, what="the job")
        workers = site.pids("worker --queues reading")
        for pid in workers:
            os.kill(pid, signal.SIGKILL)

        def ready_again():
            fresh = set(site.pids("worker --queues reading")) - set(workers)
            beats = {each.pid for each in site.store.processes() if each.detail == "ready"}
            return len(fresh & beats) == len(workers)

        site.until(ready_again, seconds=90, what="the new workers")
        time.sleep(2)
        (job,) = site.jobs(study)
        assert (job.state, job.attempts) == (JobState.SCHEDULED, 0)
        assert not pacs.exists() or not list(pacs.rglob("*.dcm"))
        assert site.command("drafting", "start").returncode == 0
        assert site.completed(study).model_name == "demo"
        assert site.command("model", "use", "second").returncode == 0
        later = site.completed(sent(2))
        assert (later.model_name, later.draft.model.version) == ("second", "7")
        loaded = {each.model for each in site.store.loaded_models()}
        assert loaded == {"demo", "second"}
    finally:
        site.stop()
