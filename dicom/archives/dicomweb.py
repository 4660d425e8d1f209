"""A DICOMweb archive: listed by QIDO-RS (PS3.18 10.6), fetched by WADO-RS (PS3.18 10.4)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dicom.archives.archive import (
    MOST_INSTANCES,
    HeldInstance,
    Listing,
    Take,
    Window,
    date_range,
    held,
)
from dicom.destinations.dicomweb import StowDestination
from dicom.errors import DestinationRejected, InvalidIdentifier
from dicom.identifiers import check_uid

_PAGE: Final = 200
_MODALITY: Final = "00080060"
_SOP_CLASS_UID: Final = "00080016"
_SOP_INSTANCE_UID: Final = "00080018"
_STUDY_INSTANCE_UID: Final = "0020000D"
_SERIES_INSTANCE_UID: Final = "0020000E"
_NUMBER_OF_STUDY_RELATED_INSTANCES: Final = "00201208"


class DicomwebArchive:
    """An archive by QIDO-RS and WADO-RS.

    A search has no key for the time of reception, so Study Date is used, in whole days.
    """

    def __init__(self, archive: StowDestination) -> None:
        self._archive = archive

    @property
    def name(self) -> str:
        """Its name."""
        return self._archive.name

    def listing(self, window: Window) -> Listing:
        """Return the Instances of the Studies whose Study Date is in the window."""
        instances: list[HeldInstance] = []
        counts: dict[str, int] = {}
        for study, number in self._studies(window).items():
            counts[study] = number
            if number and window.is_settled(study, number):
                continue
            instances += self._instances(study, frozenset(window.modalities))
            if len(instances) > MOST_INSTANCES:
                raise DestinationRejected(
                    f"{self.name} lists more than {MOST_INSTANCES} instances: choose fewer hours"
                )
        return Listing(instances=instances, counts=counts)

    def fetch(self, instances: Sequence[HeldInstance], take: Take) -> None:
        """Retrieve each Instance."""
        for each in instances:
            address = (
                f"studies/{each.study_instance_uid}/series/{each.series_instance_uid}"
                f"/instances/{each.sop_instance_uid}"
            )
            take(each, self._archive.file(address))

    def _studies(self, window: Window) -> dict[str, int]:
        """Return the number of Instances, 0 if not given, of each Study in the window."""
        found: dict[str, int] = {}
        for modality in window.modalities:
            params = {
                "StudyDate": date_range(window.since),
                "ModalitiesInStudy": modality,
                "includefield": _NUMBER_OF_STUDY_RELATED_INSTANCES,
            }
            for each in self._pages("studies", params, _STUDY_INSTANCE_UID):
                found[_text(each, _STUDY_INSTANCE_UID)] = _count(each)
        return found

    def _instances(self, study: str, modalities: frozenset[str]) -> Iterator[HeldInstance]:
        for series in self._pages(f"studies/{study}/series", {}, _SERIES_INSTANCE_UID):
            if _text(series, _MODALITY) not in modalities:
                continue
            uid = _text(series, _SERIES_INSTANCE_UID)
            address = f"studies/{study}/series/{uid}/instances"
            for each in self._pages(address, {}, _SOP_INSTANCE_UID):
                instance = _text(each, _SOP_INSTANCE_UID)
                found = held(study, uid, instance, _text(each, _SOP_CLASS_UID))
                if found is not None:
                    yield found

    def _pages(
        self, address: str, params: Mapping[str, str], key: str
    ) -> Iterator[Mapping[str, Any]]:
        """Yield each result with a new valid UID in `key`, until a page contains none.

        A short page is not the last one: an archive may list fewer than `limit` at once, or ignore
        `limit` and `offset`.
        """
        seen: set[str] = set()
        offset = 0
        while True:
            asked = {**params, "limit": str(_PAGE), "offset": str(offset)}
            results = self._archive.search(address, asked)
            new = {_text(each, key): each for each in results if _is_uid(_text(each, key))}
            fresh = [each for uid, each in new.items() if uid not in seen]
            if not fresh:
                return
            yield from fresh
            seen |= new.keys()
            offset += len(results)


def _text(result: Mapping[str, Any], tag: str) -> str:
    element = result.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _count(result: Mapping[str, Any]) -> int:
    text = _text(result, _NUMBER_OF_STUDY_RELATED_INSTANCES)
    return int(text) if text.isdecimal() else 0


def _is_uid(text: str) -> bool:
    try:
        check_uid(text)
    except InvalidIdentifier:
        return False
    return True
