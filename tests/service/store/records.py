"""Images, jobs and drafts in a store, for the tests of the store."""

from pathlib import Path

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.study import Instance
from service.records import ResultObject

STUDY = "1.2.3"


MODEL = {"model": "tiny", "version": "1"}


DRAFT_REPORT = "1.2.840.10008.5.1.4.1.1.88.11"


def image(number=1, *, study=STUDY, sha="a"):
    """An image of the study; the same number is the same SOP Instance UID."""
    return Instance(
        sop_instance_uid=f"{study}.1.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid=f"{study}.1",
        study_instance_uid=study,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path(f"/spool/{study}/{number}-{sha}.dcm"),
        digest=sha * 64,
        size=1000 + number,
    )


def arrive(store, number=1, *, association="A1", eligible=True, **other):
    """Add an image; return the result of the store."""
    keep = {key: other.pop(key) for key in ("study", "sha") if key in other}
    return store.add_instance(
        image(number, **keep),
        calling_ae="MODALITY",
        association_id=association,
        eligible=eligible,
        **other,
    )


def schedule(store, study=STUDY, **other):
    """Schedule the study; return the job or None."""
    return store.schedule(study, **MODEL, actor="intake", reason="Released.", **other)


def claimed(store, number=1, study=STUDY, **other):
    """A job of a new image, IN_PROGRESS, held by "reader" for a minute."""
    arrive(store, number, study=study, **other)
    return store.claim_reading(schedule(store, study).id, "reader", 60)


def draft_of(job, source=1):
    """A draft about the image number `source`."""
    return DraftReport(
        study_instance_uid=job.study_instance_uid,
        source=SourceImage(
            sop_instance_uid=f"{job.study_instance_uid}.1.{source}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{job.study_instance_uid}.1",
            rows=10,
            columns=20,
        ),
        revision=job.revision,
        produced_at=job.produced_at,
        findings_text=("The lungs are clear.",),
        model=ModelIdentity(name="tiny", version="1", weights_sha256="0" * 64),
    )


def objects_of(job):
    """The records of two objects made for the job."""
    return [
        ResultObject(
            kind=kind,
            sop_class_uid=DRAFT_REPORT,
            sop_instance_uid=f"2.25.{int(job.id, 16) + number}",
            series_instance_uid=f"2.25.{number + 9}",
            study_instance_uid=job.study_instance_uid,
            path=Path(f"/outbox/{job.id}/{kind}.dcm"),
            sha256="b" * 64,
        )
        for number, kind in enumerate(("draft-report", "overlay"))
    ]


def drafted(store, job, destinations=("PACS",), source=1):
    """Keep a draft for a claimed job; return the job."""
    return store.draft(job.id, job.fence, draft_of(job, source), objects_of(job), destinations)


def deliver_all(store, job):
    """Confirm every open delivery of the job."""
    while found := store.claim_delivery(job.id, "sender", 60, {}):
        store.confirm_delivery(found[0].id, found[0].fence)
    return store.job(job.id)


def actions(store, job):
    """The actions in the job's history, in order."""
    return [event.action for event in store.events(job.id)]
