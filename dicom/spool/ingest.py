"""A received data set becomes an Instance that its sender may forget, by whichever door it came.

    checked ──▶ placed under its name, synced ──▶ name synced ──▶ rows committed, together ──▶ told

Nothing is acknowledged before the last step; what fails on the way leaves nothing behind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import keyword_dict
from pydicom.dataset import Dataset

from dicom.errors import DatasetMismatch, DicomError
from dicom.parsing.header import check_identity, read_arriving_header
from dicom.spool.group_commit import GroupCommit
from dicom.spool.incoming_file import Announced, Incoming
from dicom.spool.spool import Spool
from dicom.study import Instance

# What is asked of a film on its arrival: who it is, whether it may be read
# (`dicom.selection.triage`), whether it is urgent. Decoding a whole header costs more than all else
# that is done for a small film.
ASKED_ON_ARRIVAL: Final = frozenset(
    keyword_dict[keyword]
    for keyword in (
        *("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"),
        *("Manufacturer", "ImageType", "Modality", "Rows", "PhotometricInterpretation"),
        *("PatientSpeciesCodeSequence", "PatientSpeciesDescription"),
        *("AnatomicRegionSequence", "BodyPartExamined", "ViewCodeSequence", "ViewPosition"),
        *("PatientOrientation", "SeriesDescription", "ProtocolName", "StudyDescription"),
        *("AcquisitionDeviceProcessingDescription", "RequestedProcedureDescription"),
        *("RequestedProcedurePriority", "RequestAttributesSequence"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingAssociation:
    """An association that a peer requested of us; `id` is ours and never used twice.

    A STOW-RS request counts as one: its caller is whom its token belongs to.
    """

    id: str
    calling_ae: str
    called_ae: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A durable Instance, those elements of it that are asked for, and on which association it came.

    Attributes:
        file_is_new: Until now its file was missing or damaged: who knows the film has been without it.
    """

    instance: Instance
    header: Dataset
    association: IncomingAssociation
    file_is_new: bool = False


class Ingest:
    """Keeps data sets, those together that came at the same time; threads may share it."""

    def __init__(
        self, spool: Spool, record: Callable[[Sequence[Received]], Sequence[DicomError | None]]
    ) -> None:
        """Take the spool and what writes down durable Instances (`StorageHandler.stored`)."""
        self._spool = spool
        self._together = GroupCommit(record)

    def keep(
        self, incoming: Incoming, association: IncomingAssociation, *, study_instance_uid: str = ""
    ) -> Instance:
        """Return the Instance once it is on stable storage and recorded.

        Args:
            incoming: All of its bytes.
            association: On which it came.
            study_instance_uid: The only study that it may belong to; "" for any.

        Raises:
            DicomError: It is not kept; nothing is left of it.
        """
        incoming.complete()
        if incoming.fault:
            raise incoming.fault
        header = read_arriving_header(
            incoming.head,
            size=incoming.size,
            transfer_syntax_uid=incoming.announced.transfer_syntax_uid,
            path=incoming.path,
            only=ASKED_ON_ARRIVAL,
        )
        identity = check_identity(header)
        _check_announced(identity.sop_instance_uid, identity.sop_class_uid, incoming.announced)
        if study_instance_uid not in {"", identity.study_instance_uid}:
            raise DatasetMismatch("the data set belongs to another study than was named")
        with self._spool.exclusive(identity.sop_instance_uid):
            kept = self._spool.place(incoming, identity)
            recorded = False
            try:
                self._spool.settle([kept.instance.path])
                fault = self._together.do(
                    Received(
                        instance=kept.instance,
                        header=header,
                        association=association,
                        file_is_new=kept.created or kept.repaired,
                    )
                )
                if fault is not None:
                    raise fault
                recorded = True
            finally:
                # An older file of the same bytes stands for a Success that was given before.
                if kept.created and not recorded:
                    self._spool.remove(kept.instance.path)
        return kept.instance


def _check_announced(sop_instance_uid: str, sop_class_uid: str, announced: Announced) -> None:
    if sop_instance_uid != announced.sop_instance_uid:
        raise DatasetMismatch("SOP Instance UID differs from the one announced")
    if sop_class_uid != announced.sop_class_uid:
        raise DatasetMismatch("SOP Class UID differs from the one announced")
