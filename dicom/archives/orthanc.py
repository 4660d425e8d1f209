"""An Orthanc as an Archive, by its REST API: its list of changes gives the new Instances.

Orthanc numbers each change. Changes that were handled are not read again. The begin of the window is
found by bisection on the dates of the changes, which Orthanc gives in UTC.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Final

from dicom.archives.archive import HeldInstance, Listing, Take, Window, held
from dicom.destinations.orthanc import OrthancDestination

_NEW_INSTANCE: Final = "NewInstance"
_CHANGES: Final = 1000  # of one request
_RESOURCES: Final = 200  # of one request
_TIME: Final = "%Y%m%dT%H%M%S"


class OrthancArchive:
    """An Orthanc 1.9.4 or later."""

    def __init__(self, orthanc: OrthancDestination) -> None:
        self._orthanc = orthanc

    @property
    def name(self) -> str:
        """Its name."""
        return self._orthanc.name

    def listing(self, window: Window) -> Listing:
        """Return the Instances that Orthanc received in the window and still holds."""
        last = self._orthanc.last_change()
        since = window.since.astimezone(UTC).strftime(_TIME)
        known = window.position if 0 < window.position <= last else 0
        start = known if known == last else max(known, self._first_since(since, last))
        numbers, position = self._new_instances(start, start + window.most_changes)
        found = list(self._described(numbers, frozenset(window.modalities)))
        return Listing(instances=found, position=position, is_whole=position >= last)

    def fetch(self, instances: Sequence[HeldInstance], take: Take) -> None:
        """Download the file of each Instance."""
        for each in instances:
            take(each, self._orthanc.file(each.reference))

    def _first_since(self, since: str, last: int) -> int:
        """Return the number of the last change before `since` (`_TIME`, UTC), 0 if there is none."""
        low, high = 0, last
        while low < high:
            middle = (low + high) // 2
            found, number = self._orthanc.changes(middle, 1)
            is_earlier = bool(found) and str(found[0].get("Date", "")) < since
            if is_earlier and number <= high:
                low = number
            else:
                high = middle
        return low

    def _new_instances(self, start: int, stop: int) -> tuple[dict[str, int], int]:
        """Return new Instances, change number by Orthanc's identifier, and the last change read.

        Changes after `start` are read page by page until one reaches `stop` or none is left.
        """
        numbers: dict[str, int] = {}
        while start < stop:
            found, last = self._orthanc.changes(start, _CHANGES)
            for each in found:
                if each.get("ChangeType") == _NEW_INSTANCE:
                    # An Instance deleted and stored again has two changes: the later one counts.
                    numbers[str(each.get("ID", ""))] = _number(each.get("Seq"))
            if not found or last <= start:
                break
            start = last
        return numbers, start

    def _described(
        self, numbers: Mapping[str, int], modalities: frozenset[str]
    ) -> Iterator[HeldInstance]:
        identifiers = list(numbers)
        for begin in range(0, len(identifiers), _RESOURCES):
            instances = self._orthanc.describe(identifiers[begin : begin + _RESOURCES])
            series = self._by_id({str(each.get("ParentSeries")) for each in instances})
            requested = {
                key: each
                for key, each in series.items()
                if _tag(each, "MainDicomTags", "Modality") in modalities
            }
            studies = self._by_id({str(each.get("ParentStudy")) for each in requested.values()})
            for each in instances:
                found = _held(each, requested.get(str(each.get("ParentSeries"))), studies)
                if found is not None:
                    yield replace(found, sequence=numbers.get(found.reference, 0))

    def _by_id(self, identifiers: set[str]) -> dict[str, Mapping[str, object]]:
        found = self._orthanc.describe(sorted(identifiers))
        return {str(each.get("ID")): each for each in found}


def _held(
    instance: Mapping[str, object],
    series: Mapping[str, object] | None,
    studies: Mapping[str, Mapping[str, object]],
) -> HeldInstance | None:
    study = studies.get(str(series.get("ParentStudy"))) if series is not None else None
    if series is None or study is None:
        return None
    return held(
        _tag(study, "MainDicomTags", "StudyInstanceUID"),
        _tag(series, "MainDicomTags", "SeriesInstanceUID"),
        _tag(instance, "MainDicomTags", "SOPInstanceUID"),
        _tag(instance, "Metadata", "SopClassUid"),
        reference=str(instance.get("ID", "")),
    )


def _tag(resource: Mapping[str, object], group: str, name: str) -> str:
    values = resource.get(group)
    return str(values.get(name, "")) if isinstance(values, dict) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
