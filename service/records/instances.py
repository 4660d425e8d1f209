"""Records of received Instances and Studies."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from dicom.study import Instance


class Arrival(StrEnum):
    """What the store found when an Instance arrived."""

    NEW = "new"
    SAME = "same"  # the same SOP Instance UID with the same bytes: acknowledged, nothing changed
    CONFLICT = "conflict"  # the same UID with other bytes: stored apart and reported, never read


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedInstance:
    """One Instance as it arrived, before the store records it.

    Attributes:
        instance: The Instance, already durable in the spool.
        calling_ae: The AE title of the sender.
        association_id: The association that brought it; unique among all processes and times.
        eligible: Whether it may be selected for reading.
        quiet_seconds: Seconds without a further arrival until the Study counts as complete.
        urgent: Whether the Study's next job is urgent.
        file_is_new: Whether its file was missing until now, even if a row names it.
        begins_job: Whether the Study needs a job because of it; False for documents and our own results.
    """

    instance: Instance
    calling_ae: str
    association_id: str
    eligible: bool
    quiet_seconds: float = 2.0
    urgent: bool = False
    file_is_new: bool = False
    begins_job: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance(Instance):
    """An Instance of the database with what is known of it besides.

    Attributes:
        conflict: Whether it has the UID of another Instance and other content.
        compared: Whether a conflict was compared with that Instance.
        differs: The relevant difference from that Instance, else ""; known once `compared`.
    """

    calling_ae: str
    received_at: datetime
    conflict: bool
    compared: bool = False
    differs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two contents of one SOP Instance UID that have not been compared yet.

    Attributes:
        first: The Instance that was or may be read; None if its file was removed.
        second: The copy that came later and is stored apart; None if its file was removed.
        study_instance_uid: The Study of the first.
        digest: The digest of the second.
        differs: The relevant difference that an earlier comparison found, else "".
    """

    id: int
    sop_instance_uid: str
    study_instance_uid: str
    digest: str
    calling_ae: str
    differs: str
    first: Instance | None
    second: Instance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivingStudy:
    """A Study whose Instances still arrive; its job is made at `quiet_at` or the release."""

    study_instance_uid: str
    calling_ae: str
    images: int
    quiet_at: datetime


class JobNeed(Enum):
    """Whether a received Study has its job."""

    NONE = "it has a job"
    WAITS = "its job is made after the quiet time"
    OVERDUE = "no event will create its job"
    NO_IMAGE = "it has no image that starts a job: documents, captures or results only"
