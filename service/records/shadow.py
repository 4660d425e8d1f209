"""A shadow model's reading of a study, and its comparison with the draft of the model in use."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from dicom.content.phrases import is_positive
from dicom.content.report import DraftReport, Finding, Observation, Side


class ShadowState(StrEnum):
    """The state of a shadow reading; stored in `shadow_readings.state`."""

    READING = "READING"
    DRAFTED = "DRAFTED"
    REFUSED = "REFUSED"  # the shadow model reads no image of this study
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowComparison:
    """How a shadow's draft differs from the draft of the model in use, finding by finding.

    A finding counts as stated if the labeler coded it as present or uncertain.

    Attributes:
        same_image: Whether both drafts are about the same image; if not, no finding is compared.
        both: Findings that both drafts state.
        only_in_use: Findings that only the draft of the model in use states.
        only_shadow: Findings that only the shadow's draft states.
        sides_differ: Those of `both` with another side, where both drafts name one.
        characters_in_use: Length of the text of the model in use.
        characters_shadow: Length of the shadow's text.
        coded_in_use: Whether a finding could be coded from the text of the model in use.
        coded_shadow: Whether a finding could be coded from the shadow's text.
        seconds_in_use: Time of the model in use for this image; None if not recorded.
        seconds_shadow: Time of the shadow model for this image; None if not recorded.
    """

    same_image: bool
    both: tuple[str, ...] = ()
    only_in_use: tuple[str, ...] = ()
    only_shadow: tuple[str, ...] = ()
    sides_differ: tuple[str, ...] = ()
    characters_in_use: int = 0
    characters_shadow: int = 0
    coded_in_use: bool = True
    coded_shadow: bool = True
    seconds_in_use: float | None = None
    seconds_shadow: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the comparison that `to_json` of this or another version wrote."""
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        lists = {name: tuple(each) for name, each in values.items() if isinstance(each, list)}
        return cls(**(values | lists))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReading:
    """One reading of a study by a shadow model.

    Attributes:
        reason: Why there is no draft, a sentence; "" with a draft.
        prompt_sha256: Of the prompt; "" without a draft.
        seconds: Time of the reading; None if it has not ended.
    """

    id: int
    job_id: str
    study_instance_uid: str
    model_name: str
    model_version: str
    state: ShadowState
    attempts: int
    claimed_at: datetime
    ended_at: datetime | None
    seconds: float | None
    prompt_sha256: str
    reason: str
    draft: DraftReport | None
    comparison: ShadowComparison | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowEnd:
    """How a shadow reading ended; see `ShadowReading`."""

    state: ShadowState
    seconds: float
    reason: str = ""
    draft: DraftReport | None = None
    prompt_sha256: str = ""
    comparison: ShadowComparison | None = None


def compare(in_use: DraftReport, shadow: DraftReport) -> ShadowComparison:
    """Return how the drafts of one study differ."""
    common: dict[str, Any] = {
        "characters_in_use": _characters(in_use),
        "characters_shadow": _characters(shadow),
        "coded_in_use": in_use.is_coded,
        "coded_shadow": shadow.is_coded,
        "seconds_in_use": _seconds(in_use),
        "seconds_shadow": _seconds(shadow),
    }
    if in_use.source.sop_instance_uid != shadow.source.sop_instance_uid:
        return ShadowComparison(same_image=False, **common)
    first, second = _stated(in_use), _stated(shadow)
    both = first.keys() & second.keys()
    return ShadowComparison(
        same_image=True,
        both=_sorted(both),
        only_in_use=_sorted(first.keys() - both),
        only_shadow=_sorted(second.keys() - both),
        sides_differ=_sorted(each for each in both if _differ(first[each], second[each])),
        **common,
    )


def _stated(draft: DraftReport) -> dict[Observation, frozenset[Side]]:
    """Return the sides of each finding that a draft states; an empty set where it names none."""
    found: dict[Observation, frozenset[Side]] = {}
    for finding in filter(is_positive, draft.findings):
        found[finding.observation] = found.get(finding.observation, frozenset()) | _sides(finding)
    return found


def _sides(finding: Finding) -> frozenset[Side]:
    if finding.side is None:
        return frozenset()
    if finding.side is Side.BILATERAL:
        return frozenset({Side.LEFT, Side.RIGHT})
    return frozenset({finding.side})


def _differ(first: frozenset[Side], second: frozenset[Side]) -> bool:
    return bool(first and second and first != second)


def _sorted(observations: Iterable[Observation]) -> tuple[str, ...]:
    return tuple(sorted(each.value for each in observations))


def _characters(draft: DraftReport) -> int:
    return sum(map(len, (*draft.findings_text, *draft.impression_text)))


def _seconds(draft: DraftReport) -> float | None:
    model = draft.timings_ms.get("model")
    return None if model is None else model / 1000
