"""What happens to studies over time: later images, repeats, urgency, an unavailable PACS."""

import time

import pytest
from pydicom import dcmread

from dicom.content.report import Observation, Side
from dicom.phantom import Demographics, PhantomFinding, as_dataset, draw, draw_lateral, write
from service.jobs import JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk]


# One person: images of two people in one study are never read.
_PATIENT = Demographics.made_up(100, age=50, sex="F")


@pytest.fixture
def image(tmp_path):
    """Draw an image: seed -> file. The same study seed puts images into one study."""

    def make(seed, *, study=None, lateral=False, findings=()):
        phantom = (
            draw_lateral(seed, rows=512, columns=512)
            if lateral
            else draw(seed, rows=512, columns=512, findings=findings)
        )
        dataset = as_dataset(phantom, patient=_PATIENT, study_instance_uid=study)
        path = tmp_path / f"{seed}.dcm"
        write(dataset, path)
        return path, str(dataset.StudyInstanceUID)

    return make


def _drafts(results):
    return [
        result
        for result in results.values()
        if result.Modality == "SR"
        and result.get("PreliminaryFlag") == "PRELIMINARY"
        and str(result.SOPClassUID).endswith(".88.11")
    ]


def test_the_same_image_again_changes_nothing(site, image, in_pacs):
    """A repeated C-STORE of the same bytes is acknowledged and makes no second job."""
    path, study = image(101)
    site.store_scu(path)
    site.completed(study)
    before = sorted(in_pacs(study))
    assert site.store_scu(path).acknowledged
    time.sleep(3)  # longer than the quiet time
    assert len(site.jobs(study)) == 1
    assert sorted(in_pacs(study)) == before


def test_the_same_uid_with_other_bytes_is_kept_apart_and_reported(site, image):
    """A second image under a used SOP Instance UID is stored, reported and never read."""
    path, study = image(102)
    site.store_scu(path)
    job = site.completed(study)
    other = dcmread(path)
    other.PatientComments = "changed afterwards"
    other.save_as(path)
    assert site.store_scu(path).acknowledged
    site.until(
        lambda: any(
            str(other.SOPInstanceUID) in (found.subject + found.detail)
            for found in site.store.incidents(limit=100)
        ),
        seconds=10,
        what="the report of the conflict",
    )
    assert [one.conflict for one in site.store.instances(study)] == [False, True]
    assert [one.id for one in site.jobs(study)] == [job.id]


def test_an_image_whose_patient_was_corrected_puts_its_draft_in_doubt(site, image, in_pacs):
    """The same SOP Instance UID with another Patient ID: job, queue and PACS say that it is in doubt."""
    path, study = image(111)
    site.store_scu(path)
    job = site.completed(study)
    other = dcmread(path)
    other.PatientID = "CORRECTED-1"
    other.save_as(path)
    assert site.store_scu(path).acknowledged

    def notices():
        found = in_pacs(study).values()
        return [each for each in found if "IN DOUBT" in str(each.get("SeriesDescription", ""))]

    site.until(notices, seconds=60, what="the notice in the PACS")
    (notice,) = notices()
    assert notice.PatientID == _PATIENT.patient_id
    after = site.store.job(job.id)
    assert (after.state, after.doubt) == (
        JobState.COMPLETED,
        "A later copy of its image differs in Patient ID.",
    )
    time.sleep(3)
    assert len(notices()) == 1


def test_a_later_frontal_image_supersedes_the_draft(site, image, in_pacs):
    """A second frontal image leads to revision 2, whose SR names the first as its predecessor."""
    path, study = image(103)
    site.store_scu(path)
    first = site.completed(study)
    better, _ = image(
        104,
        study=study,
        findings=(PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.LEFT),),
    )
    site.store_scu(better)
    second = site.settled(study, revision=2)
    assert second.supersedes == first.id
    if second.state is JobState.COMPLETED:
        drafts = {str(draft.SeriesInstanceUID): draft for draft in _drafts(in_pacs(study))}
        assert len(drafts) == 2
        named = [draft for draft in drafts.values() if "PredecessorDocumentsSequence" in draft]
        assert len(named) == 1
        assert site.store.job(first.id).superseded_by == second.id
    else:
        # The documented rule may prefer the first image: then its draft stays and notes that.
        assert second.state is JobState.CANCELED
        assert second.reason_code == "NO_CHANGE"


def test_a_lateral_alone_is_not_read_and_a_frontal_that_follows_is(site, image):
    """Only a lateral: NOT_ANALYSED after the quiet time; the frontal then makes a draft."""
    lateral, study = image(105, lateral=True)
    begun = time.monotonic()
    site.store_scu(lateral)
    job = site.settled(study)
    assert job.state is JobState.NOT_ANALYSED
    assert time.monotonic() - begun >= 1.9  # the quiet time: a frontal might have followed
    frontal, _ = image(106, study=study)
    site.store_scu(frontal)
    assert site.settled(study, revision=2).state is JobState.COMPLETED


def test_an_image_of_another_patient_in_the_study_stops_it(site, image, in_pacs):
    """Two patients under one Study Instance UID: nothing more is drafted, no draft is superseded."""
    path, study = image(108)
    site.store_scu(path)
    first = site.completed(study)
    before = sorted(in_pacs(study))
    stranger, _ = image(109, study=study)
    other = dcmread(stranger)
    other.PatientID, other.PatientName = "SOMEBODY-ELSE", "ELSE^SOMEBODY"
    other.save_as(stranger)
    assert site.store_scu(stranger).acknowledged
    second = site.settled(study, revision=2)
    assert (second.state, second.reason_code) == (JobState.NOT_ANALYSED, "TWO_PATIENTS")
    assert sorted(in_pacs(study)) == before
    assert site.store.job(first.id).state is JobState.COMPLETED


def test_an_unknown_modality_is_refused(site, image):
    """A calling AE title that is not configured gets no association."""
    path, study = image(107)
    sent = site.store_scu(path, calling="STRANGER")
    assert not sent.acknowledged
    assert "Calling AE Title Not Recognized" in sent.output
    assert site.jobs(study) == []


def test_drafts_wait_for_a_pacs_that_is_away(
    site_class, orthanc_server_class, tmp_path, image, free_port
):
    """Orthanc is stopped while studies arrive; when it is back every draft gets there by itself."""
    (tmp_path / "site").mkdir()
    pacs = orthanc_server_class(tmp_path / "orthanc")
    pacs.start()
    overrides = {
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": pacs.url}],
        "delivery": {"retry_seconds": 0.5, "retry_max_seconds": 2},
    }
    site = site_class(tmp_path / "site", free_port(), overrides)
    try:
        site.start()
        pacs.kill()
        images = [image(seed) for seed in (110, 111, 112)]
        for path, _ in images:
            assert site.store_scu(path).acknowledged
        for _, study in images:
            site.until(
                lambda study=study: [job.state for job in site.jobs(study)] == [JobState.DRAFTED],
                seconds=60,
                what="the draft",
            )
        waiting = site.store.deliveries(site.jobs(images[0][1])[0].id)[0]
        assert "pacs" in waiting.last_error
        pacs.start()
        for _, study in images:
            site.completed(study)
    finally:
        site.stop()
        pacs.stop()


def test_urgent_studies_overtake(site_class, tmp_path, image, free_port):
    """Of studies that wait together, those of an urgent caller are read first."""
    overrides = {
        "receiver": {
            "host": "127.0.0.1",
            "port": (port := free_port()),
            "callers": [
                {"ae_title": "WARD"},
                {"ae_title": "ED", "priority": "urgent"},
                {"ae_title": "MODALITY"},
            ],
            "min_free_bytes": 0,
        },
        "reading": {"concurrency": 1},
        "destinations": [{"kind": "folder", "name": "out", "path": str(tmp_path / "out")}],
    }
    site = site_class(tmp_path, port, overrides)
    try:
        site.start()
        routine = [image(seed) for seed in range(120, 126)]
        urgent = image(130)
        for path, _ in routine:
            site.store_scu(path, calling="WARD")
        site.store_scu(urgent[0], calling="ED")
        for _, study in [*routine, urgent]:
            site.completed(study)
        drafted = {
            study: next(
                e.at
                for e in site.store.events(site.jobs(study)[0].id)
                if e.to_state is JobState.DRAFTED
            )
            for _, study in [*routine, urgent]
        }
        assert drafted[urgent[1]] < drafted[routine[-1][1]]
    finally:
        site.stop()
