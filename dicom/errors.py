"""Errors of DICOM exchanges, each with its DIMSE status.

    DicomError                      0xC000  cannot understand
    ├── InvalidDataset              0xC000  not a data set that can be read
    │   ├── InvalidIdentifier       0xA900  a UID or AE title violates PS3.5 6.2 or 9.1
    │   └── MissingAttribute        0xA900  a type 1 attribute is absent
    ├── DatasetMismatch             0xA900  data set and command or SOP class disagree
    ├── UnsupportedSOPClass         0x0122  SOP Class not supported
    ├── UnsupportedTransferSyntax   0xC122  transfer syntax not supported; STOW-RS only
    ├── OutOfResources              0xA700  disk, memory or database cannot store it now
    │   ├── RateExceeded            0xA700  more Instances than the calling AE may send in a minute
    │   ├── DecodersBusy            0xA700  every decoder is busy with another image
    │   └── DecoderSlow             0xA700  decoding exceeded its time limit
    ├── PixelError                  0xC000  the pixel data cannot be turned into a Frame
    │   ├── LimitExceeded           0xC000  larger than a limit allows
    │   └── DecoderDied             0xC000  decoding it ended the decoder process, more than once
    ├── InternalError               0x0110  an error in this program; the log has its traceback
    ├── InvalidOutput               0xC000  a result that we made violates a rule; it is not sent
    └── DestinationError            -       a result did not reach its destination
        ├── DestinationUnavailable  -       transient: refused, timed out, out of resources
        │   ├── DestinationSilent   -       no connection, or no complete answer in time
        │   ├── CannotSendNow       -       this machine cannot send; nothing is known of the peer
        │   └── NotListed           -       the peer does not list an object that was sent
        └── DestinationRejected     -       permanent: the peer understood the result and refused it
            └── ObjectsRefused      -       it refused some of the objects; the others were sent

`status` is the status of the C-STORE response (PS3.4 B.2.3, PS3.7 C). `transient` is whether a later
attempt may succeed. `str(error)` is one sentence for the user and contains no patient attribute.
"""

from typing import ClassVar, Final

# Status of an internal error (PS3.7 C.5.13); also a Failure Reason (PS3.3 C.14.1.1, PS3.18 I.2-2).
PROCESSING_FAILURE: Final = 0x0110
# PS3.7 C.5.6, then the failures of the Storage Service (PS3.4 B.2.3).
_SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
_OUT_OF_RESOURCES: Final = 0xA700
_DATASET_MISMATCH: Final = 0xA900
_CANNOT_UNDERSTAND: Final = 0xC000


def is_transient(status: int) -> bool:
    """Return whether a C-STORE status is transient: the peer may accept the same object later.

    True for 0x0110 (processing failure, PS3.7 C.5.13) and 0xA7xx (out of resources, PS3.4 B.2.3).
    """
    return status == PROCESSING_FAILURE or status & 0xFF00 == _OUT_OF_RESOURCES


class DicomError(Exception):
    """A DICOM exchange failed; `status` is the DIMSE status for the peer."""

    status: ClassVar[int] = _CANNOT_UNDERSTAND
    transient: ClassVar[bool] = False


class InvalidDataset(DicomError):
    """The bytes are not a data set that can be read (PS3.4 B.2.3, "cannot understand")."""


class InvalidIdentifier(InvalidDataset):
    """A UID or AE title breaks the rules of PS3.5 6.2 and 9.1."""

    status = _DATASET_MISMATCH


class MissingAttribute(InvalidDataset):
    """An attribute that the composite IODs require with a value is absent or empty."""

    status = _DATASET_MISMATCH


class DatasetMismatch(DicomError):
    """The data set does not match its SOP Class or the C-STORE command that announced it."""

    status = _DATASET_MISMATCH


class UnsupportedSOPClass(DicomError):
    """The service is not configured to accept this SOP Class (PS3.7 C.5.6)."""

    status = _SOP_CLASS_NOT_SUPPORTED


class UnsupportedTransferSyntax(DicomError):
    """The transfer syntax cannot be read; only possible by STOW-RS (PS3.18 I.2.2)."""

    status = 0xC122


class OutOfResources(DicomError):
    """Disk, memory or database cannot store the Instance now; the sender should try again."""

    status = _OUT_OF_RESOURCES
    transient = True


def is_thread_exhaustion(error: RuntimeError) -> bool:
    """Return whether Python raised this error because no thread can be started now."""
    return "can't start new thread" in str(error)


class RateExceeded(OutOfResources):
    """The calling AE sends more Instances in a minute than it may; it should send again later."""


class DecodersBusy(OutOfResources):
    """Every decoder is busy with another image; the request should be repeated."""


class DecoderSlow(OutOfResources):
    """Decoding exceeded its time limit and was terminated."""


class PixelError(DicomError):
    """The pixel data of an Instance cannot be turned into a Frame."""


class LimitExceeded(PixelError):
    """The data set, its header or its image is larger than a limit or the memory allows."""


class DecoderDied(PixelError):
    """Decoding the image ended the decoder process, more than once."""


class InternalError(DicomError):
    """An error in this program affects one Instance; the log has its traceback (PS3.7 C.5.13)."""

    status = PROCESSING_FAILURE


class InvalidOutput(DicomError):
    """A result that we made violates a validation rule; it is not sent."""


class DestinationError(DicomError):
    """A result did not reach its destination."""


class DestinationUnavailable(DestinationError):
    """The destination did not answer, or has no resources now."""

    transient = True


class DestinationSilent(DestinationUnavailable):
    """No connection could be made, or no complete answer arrived in time."""


class CannotSendNow(DestinationUnavailable):
    """This machine cannot send the result now; it shows nothing of the destination."""


class NotListed(DestinationUnavailable):
    """The destination does not list an object; it may have acknowledged it before."""


class DestinationRejected(DestinationError):
    """The destination understood the result and refused it; the same bytes will be refused again."""


class ObjectsRefused(DestinationRejected):
    """The destination refused some of the objects; the others were sent.

    Attributes:
        uids: SOP Instance UIDs of the refused objects.
    """

    def __init__(self, sentence: str, uids: frozenset[str] = frozenset()) -> None:
        """Store the reasons as a sentence, and the UIDs of the refused objects."""
        super().__init__(sentence)
        self.uids = uids


class UnreadableDraft(ValueError):
    """A stored draft cannot be read: another version wrote it, or its record is damaged.

    It is not an error of an exchange and has no status.
    """
