"""The text of a report under review and the answers to its draft: records, JSON, limits. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from dicom.content.draft_json import decoded
from dicom.content.patient_study import clean_text
from dicom.content.report import Observation, Side
from dicom.errors import UnreadableDraft
from service.errors import InvalidReview
from service.review.draft_sentences import DraftSentence
from service.review.words import Answer, FindingVerdict, Section

MOST_SENTENCES: Final = 200
LONGEST_SENTENCE: Final = 2000  # characters
_LONGEST_ID: Final = 40
_MOST_FINDINGS: Final = 50
_MOST_POINTS: Final = 500
_FEWEST_POINTS: Final = 4  # of a closed polygon: a triangle


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSentence:
    """A sentence of the report as it stands in the editor.

    Attributes:
        id: The id of the draft's sentence, or one that the editor made for a new sentence.
        answer: The person's answer, if the draft has the sentence.
    """

    id: str
    section: Section
    text: str
    answer: Answer = Answer.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingReview:
    """A person's verdict on one finding of the draft, or a finding that the person adds.

    Attributes:
        id: The finding's id in the draft; "" for an added one.
        observation: What an added finding is; None for one that `text` names.
        side: The side of an added finding.
        text: A few words of the person, or "".
        region: A closed polygon of an added finding, (column, row) in the source image.
    """

    verdict: FindingVerdict
    id: str = ""
    observation: Observation | None = None
    side: Side | None = None
    text: str = ""
    region: tuple[tuple[float, float], ...] | None = None


_Entry = TypeVar("_Entry", ReviewSentence, FindingReview)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewContent:
    """The report under review: its sentences in order, and the verdicts on findings."""

    sentences: tuple[ReviewSentence, ...]
    findings: tuple[FindingReview, ...] = ()

    @classmethod
    def of_draft(cls, sentences: Iterable[DraftSentence]) -> Self:
        """Return the content as the draft gives it, nothing answered."""
        return cls(
            sentences=tuple(
                ReviewSentence(id=each.id, section=each.section, text=each.text)
                for each in sentences
            )
        )

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Return the content that `to_json` or a client wrote, each text on one line.

        Raises:
            InvalidReview: A value has the wrong type, is too long, or an id occurs twice.
        """
        try:
            found = decoded(cls, data, "content")
        except UnreadableDraft as error:
            raise InvalidReview(f"{error}") from None
        found = dataclasses.replace(
            found,
            sentences=tuple(_cleaned(each) for each in found.sentences),
            findings=tuple(_cleaned(each) for each in found.findings),
        )
        _check(found)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON types, from which `from_json` makes an equal one."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain

    def lines(self, section: Section) -> tuple[str, ...]:
        """Return the sentences of a section that have text."""
        return tuple(each.text for each in self.sentences if each.section is section and each.text)

    @property
    def text(self) -> str:
        """The whole text, one sentence per line, findings first."""
        return "\n".join((*self.lines(Section.FINDINGS), *self.lines(Section.IMPRESSION)))


def _cleaned(each: _Entry) -> _Entry:
    return dataclasses.replace(each, text=clean_text(each.text))


def _check(content: ReviewContent) -> None:
    """Raise InvalidReview for a value beyond the limits, with its place."""
    for name, count, most in (
        ("sentences", len(content.sentences), MOST_SENTENCES),
        ("findings", len(content.findings), _MOST_FINDINGS),
    ):
        if count > most:
            raise InvalidReview(f"content.{name}: {count} entries; at most {most} are stored")
    for sentence in content.sentences:
        if not 0 < len(sentence.id) <= _LONGEST_ID:
            raise InvalidReview(f"content.sentences: an id has 1 to {_LONGEST_ID} characters")
    _check_lengths(content.sentences)
    _check_lengths(content.findings)
    _check_distinct("sentences", [each.id for each in content.sentences])
    _check_distinct("findings", [each.id for each in content.findings if each.id])
    for finding in content.findings:
        _check_finding(finding)


def _check_lengths(entries: Sequence[ReviewSentence] | Sequence[FindingReview]) -> None:
    if any(len(each.text) > LONGEST_SENTENCE for each in entries):
        raise InvalidReview(f"content: a text is longer than {LONGEST_SENTENCE} characters")


def _check_distinct(name: str, ids: Sequence[str]) -> None:
    if len(set(ids)) != len(ids):
        raise InvalidReview(f"content.{name}: an id occurs twice")


def _check_finding(finding: FindingReview) -> None:
    if (finding.verdict is FindingVerdict.ADD) == bool(finding.id):
        raise InvalidReview(
            "content.findings: an added finding has no id, any other one has the id of the draft's"
        )
    is_named = finding.observation is not None or finding.text
    if finding.verdict is FindingVerdict.ADD and not is_named:
        raise InvalidReview("content.findings: an added finding needs an observation or a text")
    points = finding.region
    if points is None:
        return
    if not _FEWEST_POINTS <= len(points) <= _MOST_POINTS or points[0] != points[-1]:
        raise InvalidReview(
            f"content.findings: a region is a closed polygon of {_FEWEST_POINTS} to {_MOST_POINTS} "
            "points, the last equal to the first"
        )


def _plain(value: Any) -> Any:  # noqa: ANN401 - walks any field of the records above
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.value if hasattr(value, "value") else value
