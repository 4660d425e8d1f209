from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom.study import Instance
from service.audit import AuditAction, AuditEvent
from service.errors import BrokerUnavailable, StoreUnavailable
from service.receiver.intake import Intake
from service.records import Arrival
from service.settings.config import load_settings
from service.store import Store

STUDY = "1.2.3"
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def image(number=1, *, study=STUDY):
    """An image as the spool kept it."""
    return Instance(
        sop_instance_uid=f"{study}.1.{number}",
        sop_class_uid=DX,
        series_instance_uid=f"{study}.2",
        study_instance_uid=study,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path(f"/spool/{number}"),
        digest="a" * 64,
        size=1,
    )


def header(*, view="PA", sop_class=DX, **other):
    """The header of a chest image."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.Modality = "DX" if sop_class == DX else "CT"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = view
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.Rows = dataset.Columns = 2048
    for keyword, value in other.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.fixture
def settings(tmp_path):
    """Three calling AEs: default, longer quiet time, urgent."""
    callers = [
        {"ae_title": "MODALITY"},
        {"ae_title": "SLOW", "quiet_time": 30},
        {"ae_title": "EMERGENCY", "priority": "urgent"},
        {"ae_title": "CLINIC", "destinations": ["clinic"]},
        {"ae_title": "TRIAL", "destinations": []},
    ]
    return load_settings(
        data_dir=tmp_path,
        receiver={"callers": callers, "quiet_time": 2},
        destinations=[
            {"kind": "folder", "name": name, "path": str(tmp_path / name)}
            for name in ("wards", "clinic")
        ],
    )


@pytest.fixture
def published():
    """The jobs that were published."""
    return []


@pytest.fixture
def intake(store, settings, published):
    """The intake on each kind of database."""
    return Intake(store, settings, lambda *jobs: published.extend(jobs))


def arrive(intake, number=1, *, calling_ae="MODALITY", association="A1", **about):
    """Let an image arrive on an association."""
    return intake.instance_arrived(
        image(number), header(**about), calling_ae=calling_ae, association_id=association
    )


def test_the_job_starts_when_the_association_is_released(intake, store, published):
    """There is no quiet time after a frontal image."""
    assert arrive(intake) is Arrival.NEW
    assert store.jobs() == []
    (job,) = intake.association_ended("A1", "released")
    assert published == [job]
    assert store.job(job.id).calling_ae == "MODALITY"


@pytest.mark.parametrize(
    ("calling_ae", "names"),
    [("MODALITY", ("wards", "clinic")), ("CLINIC", ("clinic",)), ("TRIAL", ())],
)
def test_the_job_keeps_where_its_callers_results_go(intake, store, calling_ae, names):
    """All configured ones if the calling AE names none; an empty list is a choice, too."""
    arrive(intake, calling_ae=calling_ae)
    (job,) = intake.association_ended("A1", "released")
    assert job.destinations == names
    assert store.job(job.id).destinations == names


@pytest.mark.parametrize("outcome", ["aborted", "broken"])
def test_after_a_broken_association_the_quiet_time_decides(intake, store, clock, outcome):
    """The sender will try again; if not, the sweeper finds the study."""
    arrive(intake)
    assert intake.association_ended("A1", outcome) == []
    assert store.quiet_studies(clock.move(2)) == [STUDY]


def test_a_lateral_alone_waits_for_the_quiet_time(intake, store, clock):
    """The frontal image may come on the next association."""
    arrive(intake, view="LL")
    assert intake.association_ended("A1", "released") == []
    assert store.quiet_studies(clock.move(2)) == [STUDY]


def test_a_caller_has_its_own_quiet_time(intake, store, clock):
    """30 seconds for SLOW instead of 2."""
    arrive(intake, view="LL", calling_ae="SLOW")
    assert store.quiet_studies(clock.move(29)) == []
    assert store.quiet_studies(clock.move(1)) == [STUDY]


@pytest.mark.parametrize(
    "about",
    [
        {"calling_ae": "EMERGENCY"},
        {"RequestedProcedurePriority": "STAT"},
        {"RequestAttributesSequence": None},
    ],
)
def test_an_urgent_study_makes_an_urgent_job(intake, about):
    """By calling AE title, by tag, and by the tag inside the request."""
    if "RequestAttributesSequence" in about:
        request = Dataset()
        request.RequestedProcedurePriority = "HIGH"
        about = {"RequestAttributesSequence": Sequence([request])}
    arrive(intake, **about)
    (job,) = intake.association_ended("A1", "released")
    assert job.urgent


def test_a_routine_study_is_not_urgent(intake):
    """ROUTINE, and no value at all, give no priority."""
    arrive(intake, RequestedProcedurePriority="ROUTINE")
    (job,) = intake.association_ended("A1", "released")
    assert not job.urgent


def test_a_second_association_of_the_same_study_is_one_job_while_it_waits(intake, published):
    """Two images on two associations before a worker came: one reading."""
    arrive(intake, 1, association="A1")
    arrive(intake, 2, association="A2")
    assert len(intake.association_ended("A1", "released")) == 1
    assert intake.association_ended("A2", "released") == []
    assert len(published) == 1


def test_associations_that_end_together_are_published_in_one_go(store, settings):
    """Three studies on two associations: three jobs, one call."""
    calls = []
    intake = Intake(store, settings, lambda *jobs: calls.append(jobs))
    for number, association in enumerate(["A1", "A1", "A2"]):
        intake.instance_arrived(
            image(study=f"1.{number}"),
            header(),
            calling_ae="MODALITY",
            association_id=association,
        )
    jobs = intake.associations_released(["A1", "A2"])
    assert sorted(job.study_instance_uid for job in jobs) == ["1.0", "1.1", "1.2"]
    assert calls == [tuple(jobs)]


def test_a_broker_that_is_away_does_not_matter(store, settings, clock):
    """The job exists, marked as unpublished, for the sweeper to publish."""

    def refuse(*_jobs):
        raise BrokerUnavailable("Redis does not answer")

    intake = Intake(store, settings, refuse)
    arrive(intake)
    (job,) = intake.association_ended("A1", "released")
    assert [due.id for due in store.due_readings(clock(), clock())] == [job.id]
    assert store.job(job.id).published_at is None


def test_a_database_that_is_away_refuses_the_image(settings, free_port):
    """The image is not kept, so the sender must not get Success; the association ends well."""
    url = f"postgresql+psycopg://wetread@127.0.0.1:{free_port()}/none"
    intake = Intake(Store(url, busy_seconds=1), settings, lambda _: None)
    with pytest.raises(StoreUnavailable):
        arrive(intake)
    assert intake.association_ended("A1", "released") == []


BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def document(number=9):
    """A report as the spool kept it."""
    return replace(image(number), sop_class_uid=BASIC_TEXT_SR)


def report_header():
    """The header of a report."""
    dataset = Dataset()
    dataset.SOPClassUID = BASIC_TEXT_SR
    dataset.Modality = "SR"
    return dataset


def send_document(intake, number=9, association="A1"):
    """Let a report arrive."""
    return intake.instance_arrived(
        document(number), report_header(), calling_ae="MODALITY", association_id=association
    )


def test_a_document_alone_begins_no_job(intake, store, clock):
    """It is stored; its study gets no job."""
    assert send_document(intake) is Arrival.NEW
    assert intake.association_ended("A1", "released") == []
    clock.move(3600)
    assert store.quiet_studies(store.now()) == []
    assert store.arriving() == []
    assert [each.sop_class_uid for each in store.instances(STUDY)] == [BASIC_TEXT_SR]


@pytest.mark.parametrize("order", ["document first", "image first"])
def test_a_document_with_an_image_changes_nothing_for_the_image(intake, store, clock, order):
    """The image's job begins at the release, and no second one after the document."""
    senders = [lambda: send_document(intake), lambda: arrive(intake)]
    for send in senders if order == "document first" else reversed(senders):
        send()
    (job,) = intake.association_ended("A1", "released")
    send_document(intake, 10, association="A2")
    assert intake.association_ended("A2", "released") == []
    clock.move(3600)
    assert store.quiet_studies(store.now()) == []
    assert [each.id for each in store.jobs()] == [job.id]


def test_a_document_does_not_end_the_wait_of_an_image(intake, store, clock):
    """After a broken association the image's quiet time continues counting."""
    arrive(intake)
    intake.association_ended("A1", "broken")
    send_document(intake, association="A2")
    clock.move(3)
    assert store.quiet_studies(store.now()) == [STUDY]


def test_a_result_of_ours_that_comes_back_begins_no_job(intake, store):
    """An archive forwards the annotated image: it is stored and not read."""
    own = replace(image(7), sop_class_uid=SECONDARY_CAPTURE)
    about = header(sop_class=SECONDARY_CAPTURE, Manufacturer="Wetread", Modality="OT")
    intake.instance_arrived(own, about, calling_ae="MODALITY", association_id="A1")
    assert intake.association_ended("A1", "released") == []
    assert store.arriving() == []


@pytest.mark.parametrize("modality", ["CR", "DX"])
def test_a_secondary_capture_with_a_radiographs_modality_is_read(intake, store, modality):
    """Digitizers send these; no configuration is needed."""
    capture = replace(image(7), sop_class_uid=SECONDARY_CAPTURE)
    about = header(sop_class=SECONDARY_CAPTURE, Modality=modality)
    intake.instance_arrived(capture, about, calling_ae="MODALITY", association_id="A1")
    (job,) = intake.association_ended("A1", "released")
    assert store.job(job.id).study_instance_uid == STUDY


def test_new_studies_get_the_model_that_a_person_chose(store, settings, published):
    """From the next study on, without a restart; a study that has a job keeps its model."""
    second = {"name": "second", "model": "tiny", "model_version": "7"}
    here = settings.model_copy(update={"models": load_settings(models=[second]).models})
    intake = Intake(store, here, lambda *jobs: published.extend(jobs))
    study = "1.9"

    def read(study, number, association):
        """Return model and version of the job that an arriving image makes."""
        intake.instance_arrived(
            image(number, study=study),
            header(),
            calling_ae="MODALITY",
            association_id=association,
        )
        (job,) = intake.association_ended(association, "released")
        return job.model_name, job.model_version

    first = read(study, 1, "A1")
    event = AuditEvent(action=AuditAction.CHOSE_MODEL, actor="kim (web page)", detail="second")
    store.use_model("second", event)
    assert read("1.10", 2, "A2") == ("second", "7")
    store.claim_reading(store.jobs(study=study)[0].id, "reader", 60)
    assert read(study, 3, "A3") == first
    store.use_model("demo", event)
    assert read("1.11", 4, "A4") == first
