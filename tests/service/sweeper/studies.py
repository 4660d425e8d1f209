"""Studies that come, become drafts and end, for the tests of the sweeper."""

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.study import Instance
from service.records import ResultObject

STUDY = "1.2.3"


def schedule(store, study=STUDY):
    """Schedule the study as the intake does."""
    return store.schedule(study, model="tiny", version="1", actor="intake", reason="Released.")


def sweep_for(seconds, sweeper, clock):
    """Let time pass with a tick now and then: the database answers all the time."""
    for _ in range(0, seconds, 15):
        clock.move(15)
        sweeper.tick()


def drafted(store, settings, job, destinations=("PACS",)):
    """Claim the job and keep a draft with one object in the outbox."""
    held = store.claim_reading(job.id, "reader", 60)
    path = settings.outbox_dir / job.id / str(held.fence) / "draft-report.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"report")
    report = DraftReport(
        study_instance_uid=job.study_instance_uid,
        source=SourceImage(
            sop_instance_uid=f"{job.study_instance_uid}.1.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{job.study_instance_uid}.1",
            rows=1,
            columns=1,
        ),
        revision=1,
        produced_at=held.produced_at,
        findings_text=("Clear.",),
        model=ModelIdentity(name="tiny", version="1", weights_sha256="0" * 64),
    )
    item = ResultObject(
        kind="draft-report",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
        sop_instance_uid=f"2.25.{int(job.id, 16)}",
        series_instance_uid="2.25.1",
        study_instance_uid=job.study_instance_uid,
        path=path,
        sha256="b" * 64,
    )
    return store.draft(job.id, held.fence, report, [item], destinations)


def old(store, settings, arrive, study=STUDY):
    """Let a study arrive and end; return its job and its image's path."""
    path = arrive(study=study)
    return drafted(store, settings, schedule(store, study), ()), path


def come(store, settings, study):
    """Let a study of one image arrive whose quiet time ends at once."""
    path = settings.spool_dir / study / "1.dcm"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"film")
    image = Instance(
        sop_instance_uid=f"{study}.1.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid=f"{study}.1",
        study_instance_uid=study,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=path,
        digest="a" * 64,
        size=4,
    )
    store.add_instance(image, calling_ae="M", association_id=study, eligible=True, quiet_seconds=0)


def come_and_end(store, settings, study):
    """Let a study arrive that is drafted, with results in the outbox, and without a destination."""
    come(store, settings, study)
    return drafted(store, settings, schedule(store, study), ())
