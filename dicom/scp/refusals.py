"""Records of refused associations, connections and presentation contexts."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dicom.errors import (
    PROCESSING_FAILURE,
    DatasetMismatch,
    DicomError,
    OutOfResources,
    RateExceeded,
)
from dicom.scp.storage_handler import Refusal


class Cause(StrEnum):
    """Why something was refused, or ended without a release; a bounded set for metrics."""

    CALLING_AE = "calling AE title not accepted"
    CALLED_AE = "called AE title not ours"
    APPLICATION_CONTEXT = "application context not supported"
    PROTOCOL_VERSION = "protocol version not supported"
    LOCAL_LIMIT = "too many associations"
    INTERNAL_ERROR = "internal error"
    SOP_CLASS = "SOP Class not accepted"
    TRANSFER_SYNTAX = "transfer syntax not accepted"
    INVALID_PDU = "invalid PDU"
    OUT_OF_TURN = "PDU or fragment out of turn"
    INVALID_COMMAND = "invalid command"
    SILENT = "silent for too long"
    NO_REQUEST = "no association request"
    PEER_ABORTED = "aborted by the peer"
    CONNECTION_BROKEN = "connection broken"
    STOPPED = "aborted because the receiver stops"
    CONNECTION_LIMIT = "too many connections"
    NOT_TLS = "no TLS at the TLS port"
    NO_CERTIFICATE = "no client certificate"
    UNKNOWN_AUTHORITY = "certificate of an unknown authority"
    TLS_FAILED = "TLS handshake failed"
    INSTANCE_RATE = "Instance refused (0xA700): rate limit of the calling AE"
    INSTANCE_RESOURCES = "Instance refused (0xA700): disk, memory or database"
    INSTANCE_MISMATCH = "Instance refused (0xA900): not as announced or incomplete"
    INSTANCE_UNREADABLE = "Instance refused (0xC000): not a readable data set"
    INSTANCE_FAILED = "Instance refused (0x0110): internal error"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAccepted:
    """A refused association, connection or presentation context.

    Attributes:
        cause: The reason.
        calling_ae: Calling AE title; "" if no association was requested.
        address: IP address of the peer.
        sop_class_uid: SOP Class UID of a refused presentation context or Instance; else "".
    """

    cause: Cause
    calling_ae: str
    address: str
    sop_class_uid: str = ""


# Causes of refused Instances, by the status of the C-STORE response (PS3.4 B.2.3).
_BY_STATUS: Final = {
    OutOfResources.status: Cause.INSTANCE_RESOURCES,
    DatasetMismatch.status: Cause.INSTANCE_MISMATCH,
    PROCESSING_FAILURE: Cause.INSTANCE_FAILED,
}
INSTANCE_CAUSES: Final = frozenset(
    {*_BY_STATUS.values(), Cause.INSTANCE_RATE, Cause.INSTANCE_UNREADABLE}
)


def instance_cause(status: int) -> Cause:
    """Return the cause that stands for a failure status of a C-STORE response."""
    return _BY_STATUS.get(status, Cause.INSTANCE_UNREADABLE)


def refused_instance(error: DicomError) -> Cause:
    """Return the cause for an Instance that was refused with this error."""
    is_rate = isinstance(error, RateExceeded)
    return Cause.INSTANCE_RATE if is_rate else instance_cause(error.status)


Report = Callable[[NotAccepted], None]

CAUSES = {
    Refusal.CALLING_AE_NOT_RECOGNIZED: Cause.CALLING_AE,
    Refusal.CALLED_AE_NOT_RECOGNIZED: Cause.CALLED_AE,
    Refusal.APPLICATION_CONTEXT_NOT_SUPPORTED: Cause.APPLICATION_CONTEXT,
    Refusal.NO_REASON_GIVEN: Cause.INTERNAL_ERROR,
    Refusal.LOCAL_LIMIT_EXCEEDED: Cause.LOCAL_LIMIT,
}
