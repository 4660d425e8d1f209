"""Make the notice that a draft is in doubt, in the worker that sends it."""

from dicom.content.output_kind import NoticeForm
from dicom.destinations.destination import EncodedObject
from dicom.errors import InvalidOutput
from dicom.results.doubt_notice import Doubt, doubt_notice
from service.maintenance.notice_files import draft_report, notice_path, stored_notice
from service.records import Delivery
from service.settings.config import Settings
from service.store import Store
from workers.equipment import this_equipment


def notice_of(
    store: Store, settings: Settings, delivery: Delivery, form: NoticeForm
) -> EncodedObject:
    """Return the notice of `delivery`; every destination with this form gets the same bytes.

    Raises:
        DicomError: The draft report cannot be read or is no longer stored.
        StoreError: The database is unavailable.
        OSError: A file cannot be read or written.
    """
    job = store.job(delivery.job_id)
    report, predecessor = draft_report(store, job.id), store.predecessor(job)
    if report is None or predecessor is None or not job.drafted_image or job.removed_at is not None:
        raise InvalidOutput("the draft is no longer stored: a person must mark it in doubt there")
    doubt = Doubt(
        study_instance_uid=job.study_instance_uid,
        draft=predecessor,
        model=job.drafted_by,
        image_uid=job.drafted_image,
        copy_digest=delivery.notice,
        reason=store.difference(job.drafted_image, delivery.notice),
        revision=job.revision,
        found_at=delivery.created_at.replace(microsecond=0),
    )
    path = notice_path(settings.outbox_dir, job.id, delivery.notice, form)
    equipment = this_equipment(settings)
    return stored_notice(
        path,
        report.path,
        lambda header: doubt_notice(doubt, header, equipment, form=form),
    )
