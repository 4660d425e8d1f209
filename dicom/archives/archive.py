"""What an archive holds, to compare it with what was received, and how Instances are fetched."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid

# A window of more Instances than this is not compared: the archive ignores the query keys.
MOST_INSTANCES: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """An Instance that an archive lists.

    Attributes:
        sop_class_uid: "" where the archive does not list it.
        reference: The archive's own identifier; "" where it has none.
        sequence: Number of the archive's change that announced it; 0 where it has no changes.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""
    reference: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which Instances are listed.

    Attributes:
        since: Only what the archive received (or, where it cannot tell, what was acquired) since.
        modalities: Values of Modality (0008,0060) of the Series.
        position: Change of the archive after which to begin; 0: by `since`.
        most_changes: So many changes of the archive are looked at, where it has changes.
        is_settled: Called with a Study Instance UID and its number of Instances; a Study for which it
            returns True is not listed again.
    """

    since: datetime
    modalities: tuple[str, ...]
    position: int = 0
    most_changes: int = MOST_INSTANCES
    is_settled: Callable[[str, int], bool] = field(default=lambda _uid, _count: False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What an archive lists.

    Attributes:
        position: The archive's last change that was looked at; 0 where it has no changes.
        is_whole: Whether the window's end was reached; otherwise the next begins at `position`.
        counts: Number of Instances of each Study as the archive gives it; empty where it does not.
    """

    instances: Sequence[HeldInstance]
    position: int = 0
    is_whole: bool = True
    counts: dict[str, int] = field(default_factory=dict)


# Stores the bytes of one PS3.10 file and returns whether it is stored; only an error of the archive,
# from the iterable, is raised.
Take = Callable[[HeldInstance, Iterable[bytes]], bool]


class Archive(Protocol):
    """An archive whose content can be listed and fetched."""

    @property
    def name(self) -> str:
        """Its name in the settings."""
        ...

    def listing(self, window: Window) -> Listing:
        """Return the Instances in the window.

        Raises:
            DestinationUnavailable: It does not answer; nothing is known.
            DestinationRejected: It refuses, or its answer cannot be used.
        """
        ...

    def fetch(self, instances: Sequence[HeldInstance], take: Take) -> None:
        """Give the file of each Instance of one Study to `take`, or have the archive send them here.

        Raises:
            DestinationUnavailable: It does not answer; some may have been taken.
            DestinationRejected: It refuses.
        """
        ...


def date_range(since: datetime) -> str:
    """Return the range matching (PS3.4 C.2.2.2.5) of the days from `since`, by this machine's zone.

    It has no end: a modality's clock may be ahead.
    """
    return f"{since.astimezone():%Y%m%d}-"


def held(
    study: object, series: object, instance: object, sop_class: object = "", *, reference: str = ""
) -> HeldInstance | None:
    """Return an Instance by the UIDs that an archive listed, or None when one is no UID."""
    try:
        return HeldInstance(
            study_instance_uid=check_uid(str(study)),
            series_instance_uid=check_uid(str(series)),
            sop_instance_uid=check_uid(str(instance)),
            sop_class_uid=check_uid(str(sop_class)) if sop_class else "",
            reference=reference,
        )
    except InvalidIdentifier:
        return None
