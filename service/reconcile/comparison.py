"""Records of a comparison with an archive, and functions that make them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dicom.archives.archive import HeldInstance, Listing


class Lack(StrEnum):
    """What is missing here of a Study that an archive holds."""

    STUDY = "missing"  # no Instance of it is here
    INSTANCES = "incomplete"  # some are
    JOB = "no job"  # all are, and no job was made


@dataclass(frozen=True, slots=True, kw_only=True)
class LackingStudy:
    """A Study of the archive that is missing or incomplete here, or has no job.

    Attributes:
        listed: Number of its Instances in the archive whose SOP Class is accepted.
        absent: Its Instances that are not here.
        refused: Why one of these cannot be stored here, or "".
    """

    study_instance_uid: str
    lack: Lack
    listed: int
    absent: tuple[HeldInstance, ...]
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the command prints for programs."""
        return {
            "study_instance_uid": self.study_instance_uid,
            "lack": self.lack.value,
            "listed": self.listed,
            "absent": [each.sop_instance_uid for each in self.absent],
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result of one comparison.

    Attributes:
        studies: Number of Studies that were compared.
        lacking: Studies that are still missing or incomplete after the fetch.
        waiting: Number of absent Instances that may be on their way.
        without_image: UIDs of complete Studies in which nothing begins a job.
        other_classes: Number of Instances by SOP Class UID that is not accepted here, not compared.
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
    """Return the Instances by Study Instance UID, in the order in which they were listed."""
    studies: dict[str, list[HeldInstance]] = {}
    for each in instances:
        studies.setdefault(each.study_instance_uid, []).append(each)
    return studies


def without(asked: Sequence[HeldInstance], absent: Sequence[HeldInstance]) -> list[str]:
    """Return the SOP Instance UIDs of `asked` that are not in `absent`."""
    still = {each.sop_instance_uid for each in absent}
    return [each.sop_instance_uid for each in asked if each.sop_instance_uid not in still]


def position_before(
    listing: Listing,
    accepted: Sequence[HeldInstance],
    absent: Sequence[HeldInstance],
    unready: set[str],
) -> int:
    """Return the archive's last change up to which every Instance is here and its Study has its job."""
    gone = {each.sop_instance_uid for each in absent}
    open_changes = [
        each.sequence
        for each in accepted
        if each.sop_instance_uid in gone or each.study_instance_uid in unready
    ]
    return min([listing.position, *(number - 1 for number in open_changes)])


def other_classes(instances: Sequence[HeldInstance], accepted: frozenset[str]) -> dict[str, int]:
    """Return the number of Instances by SOP Class UID, for SOP Classes that are not accepted."""
    counts: defaultdict[str, int] = defaultdict(int)
    for each in instances:
        if each.sop_class_uid and each.sop_class_uid not in accepted:
            counts[each.sop_class_uid] += 1
    return dict(counts)
