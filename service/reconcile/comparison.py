"""What a comparison with an archive found."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dicom.archives.archive import HeldInstance, Listing


class Lack(StrEnum):
    """What a Study of an archive lacks here."""

    STUDY = "missing"  # no Instance of it is here
    INSTANCES = "incomplete"  # some are
    JOB = "no job"  # all are, and no job was made


@dataclass(frozen=True, slots=True, kw_only=True)
class LackingStudy:
    """A Study of the archive that is not here, or not whole.

    Attributes:
        listed: Number of its Instances in the archive, of those that would be accepted.
        absent: Those that are not here.
        refused: Why one of them cannot be stored here, or "".
    """

    study_instance_uid: str
    lack: Lack
    listed: int
    absent: tuple[HeldInstance, ...]
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the command prints it for programs."""
        return {
            "study_instance_uid": self.study_instance_uid,
            "lack": self.lack.value,
            "listed": self.listed,
            "absent": [each.sop_instance_uid for each in self.absent],
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What one look found.

    Attributes:
        studies: Number of Studies that were compared.
        lacking: What is missing still, after what was fetched.
        waiting: Absent Instances that may be on their way.
        without_image: Studies, of which all is here, with nothing that begins a job.
        other_classes: Instances by SOP Class UID that are not accepted here and not compared.
        fetched: SOP Instance UIDs that were fetched.
        fault: Why not all could be fetched; "" otherwise.
    """

    studies: int
    lacking: Sequence[LackingStudy]
    waiting: int = 0
    without_image: Sequence[str] = ()
    other_classes: Mapping[str, int] = field(default_factory=dict)
    fetched: Sequence[str] = ()
    fault: str = ""


def by_study(instances: Sequence[HeldInstance]) -> dict[str, list[HeldInstance]]:
    """Return the Instances of each Study, in the order in which they were listed."""
    studies: dict[str, list[HeldInstance]] = {}
    for each in instances:
        studies.setdefault(each.study_instance_uid, []).append(each)
    return studies


def without(asked: Sequence[HeldInstance], absent: Sequence[HeldInstance]) -> list[str]:
    """Return the SOP Instance UIDs of what was asked for and is not absent any more."""
    still = {each.sop_instance_uid for each in absent}
    return [each.sop_instance_uid for each in asked if each.sop_instance_uid not in still]


def position_before(
    listing: Listing,
    wanted: Sequence[HeldInstance],
    absent: Sequence[HeldInstance],
    unready: set[str],
) -> int:
    """Return the archive's last change before which every Instance is here, and its Study has a job."""
    gone = {each.sop_instance_uid for each in absent}
    open_changes = [
        each.sequence
        for each in wanted
        if each.sop_instance_uid in gone or each.study_instance_uid in unready
    ]
    return min([listing.position, *(number - 1 for number in open_changes)])


def other_classes(instances: Sequence[HeldInstance], accepted: frozenset[str]) -> dict[str, int]:
    """Return the number of Instances of each SOP Class that is not accepted."""
    counts: defaultdict[str, int] = defaultdict(int)
    for each in instances:
        if each.sop_class_uid and each.sop_class_uid not in accepted:
            counts[each.sop_class_uid] += 1
    return dict(counts)
