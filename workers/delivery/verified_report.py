"""The verified report of a decision, built by the worker that first sends it.

This is the only module that may use `dicom.results.verified_sr` (import contract in pyproject.toml). It
builds a report from a recorded decision of a person and from nothing else.
"""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import dcmread

from dicom.content import codes
from dicom.content.output_kind import OutputKind
from dicom.content.report import DraftReport, Predecessor
from dicom.destinations.destination import EncodedObject
from dicom.errors import CannotSendNow, InvalidOutput
from dicom.parsing.header import read_header
from dicom.results.verified_sr import VerifiedReport, Verifier, verified_report
from dicom.spool.durable import write_durably
from dicom.validation.same_patient import check_result
from service.records import Delivery, JobWithDraft, ResultObject
from service.review.decision import Decision, obstacle
from service.review.words import OBSTACLE_TEXT, Obstacle
from service.settings.config import Settings
from service.settings.destination_factory import encoded_object
from service.store import Store
from service.store.review.verified_reports import MadeReport
from workers.equipment import this_equipment

# These stop a report that was not built yet. One that was built is the person's, and goes everywhere.
_STOPPING: Final = frozenset(
    {Obstacle.WITHDRAWN, Obstacle.IN_DOUBT, Obstacle.REMOVED, Obstacle.UNREADABLE}
)


def verified_of(store: Store, settings: Settings, delivery: Delivery) -> EncodedObject:
    """Return the verified report of a delivery; every destination gets the same bytes.

    Raises:
        InvalidOutput: No report can be built from the decision any more.
        CannotSendNow: A copy of the image is still being compared.
        DicomError: The image cannot be read, or the report fails validation.
        StoreError: The database is unavailable.
        OSError: A file cannot be read or written.
    """
    decision = store.decision(delivery.decision_id)
    made = store.made_report(decision.id)
    if made is None:
        made = store.record_report(_build(store, settings, decision))
    elif not made.object.path.exists():
        _restore(store, settings, decision, made)
    return encoded_object(made.object)


def _build(store: Store, settings: Settings, decision: Decision) -> MadeReport:
    job = store.job(decision.job_id)
    _check_standing(store, job, decision)
    earlier = store.earlier_report(decision)
    revision = earlier.revision + 1 if earlier else 1
    preliminary = _referenced(earlier.object) if earlier else store.predecessor(job)
    if job.draft is None or preliminary is None:
        raise InvalidOutput(f"the report was not built: {OBSTACLE_TEXT[Obstacle.NO_DRAFT]}")
    report = _content(decision, job.draft, preliminary, revision)
    image = _image(store, job.draft)
    content = verified_report(report, read_header(image, strict=False), this_equipment(settings))
    check_result(content, [image])
    # Named by its content: a worker of another version that builds it too replaces no file.
    digest = hashlib.sha256(content).hexdigest()
    path = settings.outbox_dir.absolute() / job.id / f"verified-{revision}-{digest[:16]}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, content)
    return MadeReport(
        decision_id=decision.id,
        job_id=job.id,
        revision=revision,
        made_at=store.now(),
        object=_object(content, path, digest),
        predecessor_uid=preliminary.sop_instance_uid,
    )


def _restore(store: Store, settings: Settings, decision: Decision, made: MadeReport) -> None:
    """Build a lost file again.

    Raises:
        InvalidOutput: The report would have other bytes under the same SOP Instance UID.
    """
    again = _build(store, settings, decision)
    if again.object.sha256 != made.object.sha256:
        again.object.path.unlink(missing_ok=True)
        raise InvalidOutput(
            "the file of the verified report is lost and cannot be built with the same bytes: amend "
            "the report, which makes a new one"
        )


def _check_standing(store: Store, job: JobWithDraft, decision: Decision) -> None:
    """Check that nothing happened to the draft before its report was built.

    Raises:
        InvalidOutput: The draft was withdrawn, is in doubt, or is another one by now.
        CannotSendNow: A copy of its image is being compared.
    """
    found = obstacle(job)
    if decision.undone_at is not None:
        raise InvalidOutput("the decision was undone")
    if found in _STOPPING:
        raise InvalidOutput(f"the report was not sent: {OBSTACLE_TEXT[found]} {job.doubt}".strip())
    drafted = store.predecessor(job)
    if drafted is None or drafted.sop_instance_uid != decision.draft_uid:
        raise InvalidOutput(
            "the report was not sent: the study was read again, decide on that draft"
        )
    if store.has_uncompared_copy(job.drafted_image):
        raise CannotSendNow(OBSTACLE_TEXT[Obstacle.NOT_COMPARED])


def _content(
    decision: Decision, draft: DraftReport, preliminary: Predecessor, revision: int
) -> VerifiedReport:
    person = decision.reviewer
    return VerifiedReport(
        draft=draft,
        preliminary=preliminary,
        purpose=codes.PRELIMINARY_REPORT if revision == 1 else codes.REPLACED_REPORT,
        verifier=Verifier(
            name=person.name, organization=person.organization, identifier=person.identifier
        ),
        verified_at=decision.at,
        findings_text=decision.findings_text,
        impression_text=decision.impression_text,
        revision=revision,
    )


def _image(store: Store, draft: DraftReport) -> Path:
    """Return the file of the image that the draft is about.

    Raises:
        InvalidOutput: It is no longer kept.
    """
    for instance in store.study(draft.study_instance_uid).instances:
        if instance.sop_instance_uid == draft.source.sop_instance_uid:
            return instance.path
    raise InvalidOutput(f"the report was not built: {OBSTACLE_TEXT[Obstacle.REMOVED]}")


def _referenced(item: ResultObject) -> Predecessor:
    return Predecessor(
        sop_instance_uid=item.sop_instance_uid,
        sop_class_uid=item.sop_class_uid,
        series_instance_uid=item.series_instance_uid,
    )


def _object(content: bytes, path: Path, digest: str) -> ResultObject:
    header = dcmread(BytesIO(content), stop_before_pixels=True)
    return ResultObject(
        kind=OutputKind.VERIFIED_REPORT,
        sop_class_uid=str(header.SOPClassUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        series_instance_uid=str(header.SeriesInstanceUID),
        study_instance_uid=str(header.StudyInstanceUID),
        path=path,
        sha256=digest,
    )
