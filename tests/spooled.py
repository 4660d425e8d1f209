"""Images of tests in the spool and in the database."""

import hashlib
from pathlib import Path

from pydicom.dataset import Dataset

from dicom.study import Instance
from service.store import Store


def spool(store: Store, dataset: Dataset, path: Path, **options) -> Instance:
    """Write an image to `path` and add its row as the receiver does; return the Instance.

    Args:
        store: The database.
        dataset: The image; its file meta information holds the transfer syntax.
        path: A new file in the spool.
        options: Arguments of `Store.add_instance` other than those of an eligible image.
    """
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    instance = Instance(
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=dataset.SOPClassUID,
        series_instance_uid=dataset.SeriesInstanceUID,
        study_instance_uid=dataset.StudyInstanceUID,
        transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
        path=path,
        digest=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    given = {"calling_ae": "MODALITY", "association_id": path.stem, "eligible": True}
    store.add_instance(instance, **{**given, **options})
    return instance
