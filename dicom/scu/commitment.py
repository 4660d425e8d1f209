"""Storage Commitment Push Model (PS3.4 annex J): decodes requests, makes and sends reports."""

from collections.abc import Mapping
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from dicom.errors import (
    DestinationRejected,
    DestinationUnavailable,
    InvalidDataset,
    LimitExceeded,
    MissingAttribute,
)
from dicom.identifiers import check_uid
from dicom.parsing.element_scanner import ElementScanner, HeaderLimits, NeedMoreBytes
from dicom.parsing.value_decoding import PYDICOM_ERRORS
from dicom.scu.association import Peer, associate, established
from dicom.scu.commitment_request import CommitmentRequest, Reference

PUSH_MODEL: Final = UID("1.2.840.10008.1.20.1")
# The well-known instance to which every request is addressed (PS3.4 J.3.5).
PUSH_MODEL_INSTANCE: Final = UID("1.2.840.10008.1.20.1.1")
REQUEST_COMMITMENT: Final = 1
_ALL_COMMITTED: Final = 1
_FAILURES_EXIST: Final = 2
# Failure Reason (0008,1197) (PS3.3 C.14.1.1)
NO_SUCH_INSTANCE: Final = 0x0112
CLASS_INSTANCE_CONFLICT: Final = 0x0119

MAXIMUM_REQUEST: Final = 2**20


def read_request(encoded: bytes, transfer_syntax: str) -> CommitmentRequest:
    """Return the decoded Action Information of a request.

    Args:
        encoded: The Action Information as received.
        transfer_syntax: UID from its presentation context: Implicit or Explicit VR Little Endian.

    Raises:
        InvalidDataset: It cannot be read, a UID is missing or invalid, or nothing is referenced.
        LimitExceeded: It is longer than MAXIMUM_REQUEST.
    """
    asked = _decode(encoded, explicit=transfer_syntax != ImplicitVRLittleEndian)
    try:
        items = list(asked.get("ReferencedSOPSequence") or ())
        pairs = [
            (item.get("ReferencedSOPClassUID"), item.get("ReferencedSOPInstanceUID"))
            for item in items
        ]
        transaction = str(asked.get("TransactionUID") or "")
    except PYDICOM_ERRORS:
        raise InvalidDataset("the action information cannot be read") from None
    if not pairs:
        raise MissingAttribute("Referenced SOP Sequence is missing")
    return CommitmentRequest(
        transaction_uid=check_uid(transaction, "Transaction UID"),
        references=tuple(
            Reference(
                sop_class_uid=check_uid(str(class_uid or ""), "Referenced SOP Class UID"),
                sop_instance_uid=check_uid(str(uid or ""), "Referenced SOP Instance UID"),
            )
            for class_uid, uid in pairs
        ),
    )


def _decode(encoded: bytes, *, explicit: bool) -> Dataset:
    if len(encoded) > MAXIMUM_REQUEST:
        raise LimitExceeded(f"the action information is longer than {MAXIMUM_REQUEST} bytes")
    try:
        # Checks the limits before pydicom decodes the data set.
        ElementScanner(encoded, len(encoded), "<", HeaderLimits()).dataset(
            0, len(encoded), explicit=explicit
        )
        return read_dataset(BytesIO(encoded), not explicit, True)
    except (NeedMoreBytes, *PYDICOM_ERRORS):
        raise InvalidDataset("the action information cannot be read") from None


def make_report(request: CommitmentRequest, failures: Mapping[str, int]) -> tuple[int, Dataset]:
    """Return the Event Type ID and Event Information of a report (PS3.4 J.3.3).

    Args:
        request: The request.
        failures: Failure Reason by SOP Instance UID; all other references are committed.
    """
    report = Dataset()
    report.TransactionUID = request.transaction_uid
    committed = [each for each in request.references if each.sop_instance_uid not in failures]
    failed = [each for each in request.references if each.sop_instance_uid in failures]
    if committed:
        report.ReferencedSOPSequence = [_item(each) for each in committed]
    if failed:
        report.FailedSOPSequence = [_item(each) for each in failed]
        for item, each in zip(report.FailedSOPSequence, failed, strict=True):
            item.FailureReason = failures[each.sop_instance_uid]
    return (_FAILURES_EXIST if failed else _ALL_COMMITTED), report


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def send_report(association: Association, event_type: int, report: Dataset) -> int | None:
    """Send a report; return the status of the peer's response, or None without a response."""
    try:
        status, _ = association.send_n_event_report(
            report, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE
        )
    except RuntimeError:
        # pynetdicom raises RuntimeError for an ended association; otherwise it is another error.
        if association.is_established:
            raise
        return None
    code: int | None = status.get("Status")
    return code


def deliver_report(peer: Peer, event_type: int, report: Dataset) -> None:
    """Send a report on an association that we request in the SCP role (PS3.4 J.3.3, PS3.7 D.3.3.4).

    Raises:
        DestinationUnavailable: The peer cannot be reached, or did not answer.
        DestinationRejected: The peer accepts no reports, or refused this one.
    """
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = PUSH_MODEL
    role.scu_role, role.scp_role = False, True
    contexts = [(PUSH_MODEL, ExplicitVRLittleEndian), (PUSH_MODEL, ImplicitVRLittleEndian)]
    with associate(peer, contexts, negotiate=[role]) as association:
        if not association.accepted_contexts:
            raise DestinationRejected(f"{peer} does not accept storage commitment reports")
        with established(association, peer):
            status = send_report(association, event_type, report)
    if status is None:
        raise DestinationUnavailable(f"{peer} did not answer the storage commitment report")
    if status != 0x0000:
        raise DestinationRejected(f"{peer} refused the storage commitment report: 0x{status:04X}")
