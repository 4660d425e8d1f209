"""An archive sends a whole study, results and documents included, as docs/integration.md says."""

import json
import subprocess
import time
import urllib.request

import pytest

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(180)]


@pytest.fixture
def router(orthanc_server_class, tmp_path, free_port):
    """An Orthanc that knows Wetread as a modality, and the port at which Orthanc expects it."""
    port = free_port()
    folder = tmp_path / "orthanc"
    folder.mkdir()

    class Router(orthanc_server_class):
        def configuration(self):
            return {
                **super().configuration(),
                "DicomModalities": {"wetread": ["WETREAD", "127.0.0.1", port]},
                "DicomAssociationCloseDelay": 0,
            }

    with Router(folder) as server:
        yield server, port


def post(url: str, body: str):
    """Return the JSON that Orthanc answers; an error status raises."""
    request = urllib.request.Request(url, body.encode(), method="POST")  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - ours
        return json.loads(response.read() or b"null")


def test_a_study_with_results_is_sent_by_one_call(router, site_class, tmp_path):
    """Orthanc stops at the first refused object: reports and captures are stored, and begin no job."""
    server, port = router
    overrides = {
        "receiver": {
            "host": "127.0.0.1",
            "port": port,
            "callers": [{"ae_title": server.ae_title}, {"ae_title": "MODALITY"}],
            "min_free_bytes": 0,
        },
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": server.url}],
    }
    dataset = as_dataset(draw(301, rows=256, columns=256))
    image = write(dataset, tmp_path / "image.dcm")
    uid = str(dataset.StudyInstanceUID)
    (tmp_path / "site").mkdir()
    site = site_class(tmp_path / "site", port, overrides)
    try:
        site.start()
        command = ["storescu", "-aet", "CR", "-aec", server.ae_title, "127.0.0.1"]
        subprocess.run([*command, str(server.dicom_port), str(image)], check=True)
        query = json.dumps({"Level": "Study", "Query": {"StudyInstanceUID": uid}})
        (study,) = post(f"{server.url}/tools/find", query)
        assert post(f"{server.url}/modalities/wetread/store", study)["InstancesCount"] == 1
        site.completed(uid)
        (job,) = site.jobs()
        there = post(f"{server.url}/tools/find", query.replace("Study", "Instance", 1))
        assert len(there) > 2
        sent = post(f"{server.url}/modalities/wetread/store", study)
        assert sent["FailedInstancesCount"] == 0
        received = site.store.instances(uid)
        assert len(received) == len(there)
        assert all(each.path.is_file() for each in site.store.spooled(uid))
        time.sleep(4)  # longer than the quiet time: nothing more may be scheduled
        assert [each.id for each in site.jobs()] == [job.id]
        assert site.jobs()[0].state is JobState.COMPLETED
    finally:
        site.stop()
