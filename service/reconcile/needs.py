"""Decides whether a received Study of an archive lacks a job, or needs none."""

from collections.abc import Collection

from dicom.errors import DicomError
from dicom.parsing.header import read_header
from dicom.reasons import Reason
from dicom.selection.triage import triage
from service.records import JobNeed, ReceivedInstance
from service.store import Store


def job_needs(
    store: Store, study_instance_uids: Collection[str], documents: Collection[str]
) -> dict[str, JobNeed]:
    """Return the JobNeed, by UID, of each of these Studies that has a received Instance.

    A Study without a job has the need NO_IMAGE if none of its Instances begins one (see `Intake`).

    Args:
        store: The database.
        study_instance_uids: The Studies.
        documents: SOP Class UIDs that begin no job.

    Raises:
        StoreError: The database does not answer.
    """
    needs = store.received_studies(study_instance_uids)
    for uid in [uid for uid, need in needs.items() if need is JobNeed.OVERDUE]:
        images = (each for each in store.instances(uid) if not each.conflict)
        if not any(_begins_job(each, documents) for each in images):
            needs[uid] = JobNeed.NO_IMAGE
    return needs


def _begins_job(image: ReceivedInstance, documents: Collection[str]) -> bool:
    """Return whether a received Instance begins a job.

    False if its file was removed after its retention. True if its file is damaged: the job then reports
    what is wrong with it.
    """
    if image.sop_class_uid in documents or not image.path.exists():
        return False
    try:
        return triage(read_header(image.path)).reason is not Reason.OWN_RESULT
    except (DicomError, OSError):
        return True
