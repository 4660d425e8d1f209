"""The Archive interface: list what an archive holds, to find what was not received, and fetch it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid

# A listing of more Instances than this is refused: the archive ignores the query keys.
MOST_INSTANCES: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """An Instance that an archive lists.

    Attributes:
        sop_class_uid: "" if the archive does not list it.
        reference: The archive's own identifier; "" if it has none.
        sequence: Number of the archive's change that announced it; 0 if it has no list of changes.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""
    reference: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The Instances to list.

    Attributes:
        since: List only what the archive received (or, if it has no such key, what was acquired) since.
        modalities: Values of Modality (0008,0060) of the Series.
        position: Number of the archive's change after which to begin; 0 to begin at `since`.
        most_changes: How many changes to examine, if the archive has a list of changes.
        is_settled: Called with a Study Instance UID and its number of Instances; the Instances of a
            Study for which it returns True are not listed.
    """

    since: datetime
    modalities: tuple[str, ...]
    position: int = 0
    most_changes: int = MOST_INSTANCES
    is_settled: Callable[[str, int], bool] = field(default=lambda _uid, _count: False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The Instances that an archive lists.

    Attributes:
        position: Number of the last change that was examined; 0 if the archive has no list of changes.
        is_whole: Whether the window's end was reached; otherwise the next one begins at `position`.
        counts: Number of Instances of each Study as the archive states it, 0 if it does not; empty for
            an archive with a list of changes.
    """

    instances: Sequence[HeldInstance]
    position: int = 0
    is_whole: bool = True
    counts: dict[str, int] = field(default_factory=dict)


# Stores the bytes of one PS3.10 file and returns whether that succeeded. It raises only errors of the
# archive, which come from the iterable.
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
        """Pass the file of each Instance of one Study to `take`, or have the archive send them to us.

        Raises:
            DestinationUnavailable: It does not answer; some may have been received.
            DestinationRejected: It refuses.
        """
        ...


def date_range(since: datetime) -> str:
    """Return the range matching key (PS3.4 C.2.2.2.5) for the day of `since` and later, in local time.

    It has no end, because a modality's clock may be ahead.
    """
    return f"{since.astimezone():%Y%m%d}-"


def held(
    study: object, series: object, instance: object, sop_class: object = "", *, reference: str = ""
) -> HeldInstance | None:
    """Return an Instance by the UIDs that an archive listed, or None if one is not a valid UID."""
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
