"""A destination is paused while a result is being sent to it, and the delivery worker is killed."""

import json
import time

import pytest

from dicom.phantom import as_dataset, draw, write
from service.jobs import DeliveryState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(240)]

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"


def test_a_paused_destination_gets_its_result_once_after_the_resume(
    site_class, orthanc, in_pacs, silent_proxy, tmp_path, free_port
):
    """No attempt is made by the new worker during the pause; then the archive holds one report."""
    proxy = silent_proxy(orthanc.port)
    proxy.cut(new_too=True)
    pacs = {"kind": "orthanc", "name": "pacs", "url": f"http://127.0.0.1:{proxy.port}"}
    overrides = {
        "destinations": [pacs],
        "delivery": {"lease_seconds": 4, "retry_seconds": 0.5},
        "sweep": {"republish_seconds": 2},
    }
    site = site_class(tmp_path, free_port(), overrides)

    def delivery():
        (job,) = site.jobs()
        return site.store.deliveries(job.id)[0]

    def is_sending():
        jobs = site.jobs()
        found = site.store.deliveries(jobs[0].id) if jobs else ()
        return found and found[0].state is DeliveryState.SENDING

    try:
        site.start()
        dataset = as_dataset(draw(90417, rows=256, columns=256))
        study = str(dataset.StudyInstanceUID)
        assert site.store_scu(write(dataset, tmp_path / "image.dcm")).acknowledged
        site.until(is_sending, seconds=60, what="the delivery under way")
        assert site.command("destination", "pause", "pacs", "--reason", "moving").returncode == 0
        site.kill("worker-delivery")
        # On a busy machine the command takes longer than an attempt, so there may be several.
        attempts = delivery().attempts
        proxy.heal()
        site.until(lambda: delivery().state is DeliveryState.PENDING, seconds=30, what="the return")
        site.until(lambda: site.pids("worker-delivery"), seconds=30, what="the new worker")
        time.sleep(6)  # the sweeper publishes twice in this time
        waits = delivery()
        assert (waits.state, waits.attempts) == (DeliveryState.PENDING, attempts)
        listed = json.loads(site.command("destination", "list", "--json").stdout)
        assert (listed[0]["state"], listed[0]["waiting"]) == ("PAUSED", 1)
        assert in_pacs(study) == {}
        assert site.command("destination", "resume", "pacs").returncode == 0
        site.completed(study)
        classes = [str(each.SOPClassUID) for each in in_pacs(study).values()]
        assert classes.count(BASIC_TEXT_SR) == 1
        assert delivery().attempts == attempts + 1
    finally:
        site.stop()
