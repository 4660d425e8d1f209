"""The figures of a shadow model's readings beside the model in use. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from dicom.content.report import Observation
from service.records.shadow import ShadowComparison, ShadowReading, ShadowState


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFigures:
    """How often the two models state one finding.

    Attributes:
        neither: Pairs of drafts in which no model states it.
        sides_differ: Of `both`, pairs that name different sides.
    """

    finding: str
    both: int
    only_in_use: int
    only_shadow: int
    neither: int
    sides_differ: int

    @property
    def same(self) -> int:
        """Pairs of drafts that agree on the presence of the finding."""
        return self.both + self.neither


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSummary:
    """The figures of a shadow model over its latest readings.

    Attributes:
        read: Readings that have ended.
        compared: Pairs of drafts about the same image.
        identical: Of these, pairs that state the same findings with the same sides.
        other_image: Pairs of drafts about different images of a study, which are not compared.
        uncoded_in_use: Texts of the model in use from which no finding could be coded.
        uncoded_shadow: The same of the shadow model.
        characters_in_use: Median length of the text; None without a pair. So are the next three.
        findings: Those that at least one draft states, the one with most differences first.
        last_error: The reason of the latest failed reading; "" if none failed.
    """

    read: int
    drafted: int
    refused: int
    failed: int
    compared: int
    identical: int
    other_image: int
    uncoded_in_use: int
    uncoded_shadow: int
    characters_in_use: float | None
    characters_shadow: float | None
    seconds_in_use: float | None
    seconds_shadow: float | None
    findings: tuple[FindingFigures, ...]
    last_error: str


def summary(readings: Sequence[ShadowReading]) -> ShadowSummary:
    """Return the figures of readings of one shadow model, given the newest first."""
    states = Counter(each.state for each in readings)
    made = [each.comparison for each in readings if each.comparison is not None]
    pairs = [each for each in made if each.same_image]
    failures = [each.reason for each in readings if each.state is ShadowState.FAILED]
    return ShadowSummary(
        read=len(readings) - states[ShadowState.READING],
        drafted=states[ShadowState.DRAFTED],
        refused=states[ShadowState.REFUSED],
        failed=states[ShadowState.FAILED],
        compared=len(pairs),
        identical=sum(map(_is_identical, pairs)),
        other_image=len(made) - len(pairs),
        uncoded_in_use=sum(not each.coded_in_use for each in made),
        uncoded_shadow=sum(not each.coded_shadow for each in made),
        characters_in_use=_median(each.characters_in_use for each in made),
        characters_shadow=_median(each.characters_shadow for each in made),
        seconds_in_use=_median(each.seconds_in_use for each in made),
        seconds_shadow=_median(each.seconds_shadow for each in made),
        findings=_findings(pairs),
        last_error=failures[0] if failures else "",
    )


def _is_identical(pair: ShadowComparison) -> bool:
    return not (pair.only_in_use or pair.only_shadow or pair.sides_differ)


def _median(values: Iterable[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return median(known) if known else None


def _findings(pairs: Sequence[ShadowComparison]) -> tuple[FindingFigures, ...]:
    both = Counter(each for pair in pairs for each in pair.both)
    first = Counter(each for pair in pairs for each in pair.only_in_use)
    second = Counter(each for pair in pairs for each in pair.only_shadow)
    sides = Counter(each for pair in pairs for each in pair.sides_differ)
    found = [
        FindingFigures(
            finding=name,
            both=both[name],
            only_in_use=first[name],
            only_shadow=second[name],
            neither=len(pairs) - both[name] - first[name] - second[name],
            sides_differ=sides[name],
        )
        for name in (each.value for each in Observation)
        if both[name] or first[name] or second[name]
    ]
    return tuple(sorted(found, key=lambda each: (each.same, each.finding)))
