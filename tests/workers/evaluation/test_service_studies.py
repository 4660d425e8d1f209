"""Studies of the service itself: from its database and spool, with the data of their arrival."""

import shutil
from datetime import timedelta

from dicom.selection.local_files import describe
from service.assessment.study_rows import Attribute
from workers.evaluation.service_studies import REMOVED, studies_of_service


def received(store, path, *, calling_ae, urgent=False):
    """Let an image arrive from a calling AE and schedule its study; return the Study Instance UID."""
    image = describe(path)
    store.add_instance(image, calling_ae=calling_ae, association_id=calling_ae, eligible=True)
    study = image.study_instance_uid
    job = store.schedule(study, model="demo", version="1", actor="t", reason="Released.")
    if urgent:
        store.make_urgent(job.id, "t")
    return study


def test_studies_since_a_day_are_read_from_the_spool(store, phantoms, tmp_path):
    """Calling AE and priority become subgroups; removed ones are counted, not lost."""
    images = [
        shutil.copy(path, tmp_path / path.name)
        for path in sorted((phantoms / "images").iterdir())[:3]
    ]
    paths = [tmp_path / path.name for path in map(type(tmp_path), images)]
    first = received(store, paths[0], calling_ae="ROOM_1")
    second = received(store, paths[1], calling_ae="ROOM_2", urgent=True)
    third = received(store, paths[2], calling_ae="ROOM_2")
    paths[2].unlink()
    since = store.now() - timedelta(days=1)
    faults = []
    found = studies_of_service(store, faults, since=since, until=None)
    assert faults == []
    cases = {case.id: case for case in found.cases}
    assert set(cases) == {first, second}
    assert cases[first].calling_ae == "ROOM_1"
    assert cases[second].attributes[Attribute.URGENT] == "urgent"
    assert [(each.id, each.reason) for each in found.unreadable] == [(third, REMOVED)]
    assert any(key.startswith("PH") for key in cases[first].keys)


def test_a_run_that_goes_on_has_the_studies_of_its_beginning(store, phantoms, tmp_path, clock):
    """Studies that arrive after the run began do not join it."""
    path = tmp_path / "image.dcm"
    shutil.copy(sorted((phantoms / "images").iterdir())[0], path)
    since, begun = store.now() - timedelta(days=1), store.now()
    clock.move(60)
    received(store, path, calling_ae="ROOM_1")
    faults = []
    found = studies_of_service(store, faults, since=since, until=begun)
    assert found.cases == ()
    assert "the service has no study since" in faults[0]
    assert len(studies_of_service(store, [], since=since, until=None).cases) == 1
