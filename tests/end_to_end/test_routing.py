"""An Orthanc that forwards as docs/integration.md describes, and gets the results back."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom.phantom import as_dataset, draw, write

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(120)]

PAGE = Path(__file__).parents[2] / "docs" / "integration.md"


def _example(language: str) -> str:
    """Return the page's only example in this language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return text


@pytest.fixture
def router(orthanc_server_class, tmp_path, free_port):
    """An Orthanc with the page's settings and script, and the port at which it expects Wetread."""
    port = free_port()
    folder = tmp_path / "orthanc"
    folder.mkdir()
    script = folder / "to-wetread.lua"
    script.write_text(_example("lua"))

    class Router(orthanc_server_class):
        def configuration(self):
            page = json.loads(_example("json"))
            here = {"wetread": [page["DicomModalities"]["wetread"][0], "127.0.0.1", port]}
            places = {"DicomModalities": here, "LuaScripts": [str(script)]}
            return {**super().configuration(), **page, **places}

    with Router(folder) as server:
        yield server, port


def test_orthanc_forwards_images_and_never_the_results(router, site_class, in_orthanc, tmp_path):
    """An image that a modality stores in Orthanc comes back as a draft; the draft is not sent again."""
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
    (tmp_path / "site").mkdir()
    dataset = as_dataset(draw(300, rows=256, columns=256))
    image = write(dataset, tmp_path / "image.dcm")
    study = str(dataset.StudyInstanceUID)
    site = site_class(tmp_path / "site", port, overrides)
    try:
        site.start()
        command = ["storescu", "-R", "-aet", "CR", "-aec", server.ae_title, "127.0.0.1"]
        subprocess.run([*command, str(server.dicom_port), str(image)], check=True)
        site.completed(study)
        there = in_orthanc(server, study)
        assert str(dcmread(image).SOPInstanceUID) in there
        assert {"SR", "OT"} <= {str(each.Modality) for each in there.values()}
        assert len(site.store.instances(study)) == 1
        (job,) = site.jobs()
        # Orthanc released the association, so the quiet time did not apply.
        assert site.store.events(job.id)[0].actor == "intake"
    finally:
        site.stop()
