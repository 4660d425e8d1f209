"""A disk that fills up: reported, delivered images removed, new ones refused, and free again."""

from dataclasses import replace

import pytest

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.errors import OutOfResources
from dicom.spool.ingest import IncomingAssociation
from dicom.spool.spool import Spool
from dicom.study import Instance
from service.jobs import JobState
from service.maintenance.retention import Retention
from service.monitoring.alert_ends import open_due_alerts
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.storage_service import StorageService
from service.records import ResultObject
from service.settings.config import load_settings
from service.sweeper.disk_pressure import DiskPressure
from service.system.disk_space import DiskLevel, Watermark

KIB = 1024
LIMITS = {
    "sweep": {"warn_free_bytes": 1600 * KIB, "early_free_bytes": 1000 * KIB},
    "receiver": {"min_free_bytes": 300 * KIB, "callers": [{"ae_title": "CR1"}]},
}
PEER = IncomingAssociation(id="1", calling_ae="CR1", called_ae="WETREAD", address="127.0.0.1")


@pytest.fixture
def settings(tmp_path):
    """Settings with limits in KiB."""
    return load_settings(data_dir=tmp_path / "data", **LIMITS)


def test_a_step_is_left_later_than_it_was_entered(settings):
    """At the limit the step does not oscillate; a tenth more free space ends it."""
    free = [0]
    mark = Watermark(settings, lambda _: free[0] * KIB)
    steps = []
    for now in (2000, 1599, 1700, 1759, 1761, 999, 1050, 1101, 299, 320, 331, 2000):
        free[0] = now
        steps.append(mark.measure().name)
    assert steps == [
        *("ROOMY", "WARN", "WARN", "WARN", "ROOMY", "EARLY", "EARLY", "WARN"),
        *("FULL", "FULL", "EARLY", "ROOMY"),
    ]


def test_a_disk_that_does_not_answer_counts_as_full(settings):
    """And where nothing was received yet there is room."""

    def broken(_folder):
        raise OSError(5, "Input/output error")

    assert Watermark(settings, broken).measure() is DiskLevel.FULL
    assert Watermark(settings).measure() is DiskLevel.ROOMY


@pytest.fixture
def ended(store, settings):
    """A function: study, end state of its job, number of confirmed deliveries -> its image's path."""

    def end(study, state, *, confirmed=2, size=150 * KIB):
        path = settings.spool_dir / study / "image.dcm"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(size))
        image = Instance(
            sop_instance_uid=f"{study}.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{study}.2",
            study_instance_uid=study,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=path,
            digest="a" * 64,
            size=size,
        )
        store.add_instance(image, calling_ae="CR1", association_id=study, eligible=True)
        job = store.schedule(study, model="demo", version="1", actor="t", reason="Released.")
        held = store.claim_reading(job.id, "reader", 60)
        if state is JobState.NOT_ANALYSED:
            store.not_analysed(job.id, held.fence, "NOT_FRONTAL", "A lateral image.")
            return path
        source = SourceImage(
            sop_instance_uid=image.sop_instance_uid,
            sop_class_uid=image.sop_class_uid,
            series_instance_uid=image.series_instance_uid,
            rows=1,
            columns=1,
        )
        draft = DraftReport(
            study_instance_uid=study,
            source=source,
            revision=1,
            produced_at=held.produced_at,
            findings_text=("Clear.",),
            model=ModelIdentity(name="demo", version="1", weights_sha256="0" * 64),
        )
        made = ResultObject(
            kind="draft-report",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
            sop_instance_uid=f"{study}.9",
            series_instance_uid=f"{study}.8",
            study_instance_uid=study,
            path=settings.outbox_dir / job.id / "1" / "draft-report.dcm",
            sha256="b" * 64,
        )
        store.draft(job.id, held.fence, draft, [made], ["A", "B"] if confirmed is not None else [])
        for _ in range(confirmed or 0):
            delivery, _objects = store.claim_delivery(job.id, "sender", 60, {})
            store.confirm_delivery(delivery.id, delivery.fence)
        return path

    return end


def test_only_what_every_destination_has_goes_early(store, settings, ended, clock):
    """Not unread or partly delivered studies, nor those without a destination, at any free space."""
    kept = [
        ended("1.1", JobState.NOT_ANALYSED),
        ended("1.2", JobState.COMPLETED, confirmed=1),
        ended("1.3", JobState.COMPLETED, confirmed=None),
    ]
    gone = [ended("1.4", JobState.COMPLETED), ended("1.5", JobState.COMPLETED)]
    clock.move(1)
    care = DiskPressure(
        store, settings, Retention(store, settings), Watermark(settings, lambda _: 0)
    )
    assert care.check(clock.now) is DiskLevel.FULL
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    (job,) = store.jobs(study="1.4")
    assert job.removed_at is not None
    assert "disk is nearly full" in store.events(job.id)[-1].reason
    care.check(clock.now)
    care.check(clock.now)
    assert [each.kind for each in store.incidents()] == ["disk_no_room_to_make", "disk_full"]


def test_an_image_that_was_kept_apart_does_not_go_early(store, settings, ended, clock):
    """Its study is read and delivered, but the conflicting image has no results."""
    path = ended("1.6", JobState.COMPLETED)
    (image,) = store.spooled("1.6")
    other = path.with_name("other.dcm")
    other.write_bytes(bytes(KIB))
    conflict = replace(image, digest="c" * 64, path=other)
    store.add_instance(conflict, calling_ae="CR1", association_id="B", eligible=True)
    clock.move(1)
    care = DiskPressure(
        store, settings, Retention(store, settings), Watermark(settings, lambda _: 0)
    )
    care.check(clock.now)
    assert path.exists()
    assert other.exists()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_small_disk_fills_up_and_is_relieved(store, ended, small_disk, clock, settings):
    """On a file system of 2 MiB: reported, oldest images removed first, refused, free again."""
    settings.data_dir.mkdir(exist_ok=True)
    settings.spool_dir.symlink_to(small_disk)
    Spool(settings.spool_dir)
    care = DiskPressure(store, settings, Retention(store, settings))
    reception = StorageService(
        settings, store, Intake(store, settings, lambda *_: None), Commitments(settings, store)
    )
    assert care.check(clock.move(1)) is DiskLevel.ROOMY
    paths = [ended(f"1.{n}", JobState.COMPLETED) for n in (1, 2)]
    waiting = ended("1.3", JobState.COMPLETED, confirmed=1, size=400 * KIB)
    assert care.check(clock.move(1)) is DiskLevel.WARN
    assert [each.kind for each in store.incidents()] == ["disk_warn"]
    assert reception.unavailable(PEER) is None
    (small_disk / "filling").write_bytes(bytes(1050 * KIB))
    refused = reception.unavailable(PEER)
    assert isinstance(refused, OutOfResources)
    assert "nearly full" in str(refused)
    assert care.check(clock.move(1)) is DiskLevel.FULL
    assert [path.exists() for path in [*paths, waiting]] == [False, False, True]
    assert reception.unavailable(PEER) is None  # the removal freed enough space for the next image
    (small_disk / "filling").unlink()
    assert care.check(clock.move(1)) is DiskLevel.WARN
    reception.close()


def test_the_alert_of_a_full_disk_ends_when_there_is_space_again(store, settings):
    """Also if its incident has no alert yet, or the sweeper was restarted meanwhile; none is doubled."""
    free = [10**9]

    def care():
        watermark = Watermark(settings, lambda _: free[0])
        return DiskPressure(store, settings, Retention(store, settings), watermark)

    def states():
        return {(each.kind, each.recovered_at is None) for each in store.open_incident_alerts()}

    first = care()
    first.check(store.now())
    free[0] = 0
    first.check(store.now())
    free[0] = 10**9
    first.check(store.now())
    assert states() == {("disk_full", False), ("disk_no_room_to_make", False)}
    free[0] = 0
    care().check(store.now())
    open_due_alerts(store)
    assert states() == {("disk_full", True), ("disk_no_room_to_make", True)}
    free[0] = 10**9
    care().check(store.now())
    assert states() == {("disk_full", False), ("disk_no_room_to_make", False)}
