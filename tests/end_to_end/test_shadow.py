"""A shadow model beside the model in use, in a whole service: killed, and never seen in the archive."""

import os
import signal

import pytest

from dicom.phantom import as_dataset, draw, write
from service.records.shadow import ShadowState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(240)]


def shadow_of(site, job):
    """Return the shadow reading of a job, or None."""
    found = site.store.shadow_readings("trial", limit=5)
    return next((each for each in found if each.job_id == job.id), None)


def killed_in_reading(site, job):
    """Kill the shadow's process in the reading of a job; return whether the reading was not over."""
    [worker] = site.pids("worker --queues reading --model trial")

    site.until(lambda: shadow_of(site, job), seconds=60, what="the shadow reading")
    os.kill(worker, signal.SIGSTOP)
    in_time = shadow_of(site, job).state is ShadowState.READING
    os.kill(worker, signal.SIGKILL if in_time else signal.SIGCONT)
    return in_time


def test_a_killed_shadow_reads_again_and_the_archive_never_sees_it(
    site_class, orthanc_server_class, in_orthanc, tmp_path, free_port
):
    """Kill -9 in a shadow reading: the results are those of the model in use, then the shadow ends."""
    shadow = {"name": "trial", "model": "demo", "model_version": "9.9", "shadow": True}
    (tmp_path / "site").mkdir()
    (tmp_path / "orthanc").mkdir()
    with orthanc_server_class(tmp_path / "orthanc") as server:
        overrides = {
            "destinations": [{"kind": "orthanc", "name": "pacs", "url": server.url}],
            "models": [{**shadow, "lease_seconds": 3}],
        }
        site = site_class(tmp_path / "site", free_port(), overrides)
        try:
            site.start()
            for seed in range(41, 46):
                dataset = as_dataset(draw(seed, rows=420, columns=400))
                image = write(dataset, tmp_path / "image.dcm")
                study = str(dataset.StudyInstanceUID)
                assert site.store_scu(image).acknowledged
                job = site.completed(study)
                if killed_in_reading(site, job):
                    break
            else:
                pytest.fail("each of five readings ended before its process was stopped")

            def read_again():
                return shadow_of(site, job).state is ShadowState.DRAFTED

            site.until(read_again, seconds=90, what="the second shadow reading")
            kept = shadow_of(site, job)
            assert (kept.attempts, kept.job_id, kept.draft.model.version) == (2, job.id, "9.9")
            assert kept.comparison.same_image
            assert kept.comparison.only_in_use + kept.comparison.only_shadow == ()
            assert [each.id for each in site.jobs() if each.study_instance_uid == study] == [job.id]
            sent = in_orthanc(server, study)
            ours = {each.sop_instance_uid for each in site.store.objects(job.id)}
            assert set(sent) == ours
        finally:
            site.stop()
