"""Study and Instance as frozen records."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SOP Instance in the spool.

    Attributes:
        path: The PS3.10 file, in the transfer syntax in which it was received.
        digest: Hex digest of the data set as received (without preamble and file meta group), see
            `dicom.spool.digest`.
        size: Length of the data set in bytes.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    path: Path
    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The received Instances of one Study Instance UID, in order of arrival."""

    study_instance_uid: str
    instances: tuple[Instance, ...]


def group_by_study(instances: Iterable[Instance]) -> tuple[Study, ...]:
    """Return one Study for each Study Instance UID, in order of first appearance."""
    studies: dict[str, list[Instance]] = {}
    for instance in instances:
        studies.setdefault(instance.study_instance_uid, []).append(instance)
    return tuple(
        Study(study_instance_uid=uid, instances=tuple(members)) for uid, members in studies.items()
    )
