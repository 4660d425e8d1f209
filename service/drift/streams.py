"""The streams that are watched, in the order in which the page shows them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dicom.content.report import CODED_OBSERVATIONS, Observation
from service.drift.rows import Category, RowKind


class Group(StrEnum):
    """What a change of a stream is about."""

    INPUT = "input"
    OUTPUT = "output"
    PERFORMANCE = "performance"


class Level(StrEnum):
    """How soon a person should act on an alert."""

    NOTICE = "notice"
    LOOK = "look"
    ACT = "act"


LEVELS: Final = {
    Group.INPUT: Level.NOTICE,
    Group.OUTPUT: Level.LOOK,
    Group.PERFORMANCE: Level.ACT,
}


class Measure(StrEnum):
    """How a stream is measured."""

    RATE = "rate"  # an event a row: CUSUM for a rise and for a fall
    NUMBER = "number"  # EWMA of daily means; PSI a week
    SHARES = "shares"  # categories: chi-square a week, and a new one at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream.

    Attributes:
        name: In rows and charts; letters, digits and hyphens.
        title: For people.
        rows: Of which rows it is.
    """

    name: str
    title: str
    group: Group
    measure: Measure
    rows: RowKind = RowKind.READING


def finding_stream(observation: Observation) -> str:
    """Return the name of the stream of a finding in drafts."""
    return f"finding-{_slug(observation)}"


def disagreement_stream(observation: Observation) -> str:
    """Return the name of the stream of disagreement about a finding with the final report."""
    return f"disagreement-{_slug(observation)}"


def drafted_event(observation: Observation) -> str:
    """Return the name of the event that a draft with a final report states a finding."""
    return f"drafted-{_slug(observation)}"


def reported_event(observation: Observation) -> str:
    """Return the name of the event that a final report states a finding."""
    return f"reported-{_slug(observation)}"


def _slug(observation: Observation) -> str:
    return observation.value.replace(" ", "-")


NOT_ANALYZED: Final = "not-analyzed"
FAILED: Final = "failed"
# Before the code of the reason why a study was not analyzed: events that are no streams.
REASON_PREFIX: Final = "reason:"
CUT: Final = "cut"
CONFLICT: Final = "conflict"
WORDS: Final = "words"
SECONDS: Final = "seconds"
REJECTED: Final = "rejected"
NOT_ACCEPTABLE: Final = "not-acceptable"
READER_CHANGED: Final = "reader-changed"
EDITED_SHARE: Final = "edited-share"
CHANGED_SHARE: Final = "changed-share"
MEAN: Final = "image-mean"
SPREAD: Final = "image-spread"
DARK: Final = "image-p1"
MIDDLE: Final = "image-p50"
BRIGHT: Final = "image-p99"
ENTROPY: Final = "image-entropy"
SHARPNESS: Final = "image-sharpness"
EXPOSURE: Final = "exposure-index"
DEVIATION: Final = "deviation-index"
WATCHED_FINDINGS: Final = (*CODED_OBSERVATIONS, Observation.NO_FINDING)
# Categories whose share is tested; a change of the others is named in alerts.
WATCHED_CATEGORIES: Final = (
    Category.DEVICE,
    Category.SOFTWARE,
    Category.VIEW,
    Category.CALLING_AE,
    Category.MODEL,
    Category.SETTING,
)


def _rates() -> tuple[Stream, ...]:
    findings = tuple(
        Stream(
            name=finding_stream(each),
            title=f"Drafts with {each.value}",
            group=Group.OUTPUT,
            measure=Measure.RATE,
        )
        for each in WATCHED_FINDINGS
    )
    others = (
        (NOT_ANALYZED, "Studies not analyzed"),
        (FAILED, "Failed readings"),
        (CUT, "Drafts cut at the token limit"),
        (CONFLICT, "Drafts whose text and scores disagree"),
    )
    return findings + tuple(
        Stream(name=name, title=title, group=Group.OUTPUT, measure=Measure.RATE)
        for name, title in others
    )


def _performance() -> tuple[Stream, ...]:
    disagreements = tuple(
        Stream(
            name=disagreement_stream(each),
            title=f"Final report disagrees about {each.value}",
            group=Group.PERFORMANCE,
            measure=Measure.RATE,
            rows=RowKind.FINAL,
        )
        for each in CODED_OBSERVATIONS
    )
    decisions = (
        (NOT_ACCEPTABLE, "Drafts rated as not acceptable (steps 3 and 4)", Measure.RATE),
        (REJECTED, "Rejected drafts", Measure.RATE),
        (READER_CHANGED, "Drafts with a finding corrected by the reader", Measure.RATE),
        (EDITED_SHARE, "Share of words edited", Measure.NUMBER),
    )
    return (
        *disagreements,
        *(
            Stream(
                name=name,
                title=title,
                group=Group.PERFORMANCE,
                measure=measure,
                rows=RowKind.DECISION,
            )
            for name, title, measure in decisions
        ),
        Stream(
            name=CHANGED_SHARE,
            title="Share of words that differ from the final report",
            group=Group.PERFORMANCE,
            measure=Measure.NUMBER,
            rows=RowKind.FINAL,
        ),
    )


def _numbers() -> tuple[Stream, ...]:
    named = (
        (WORDS, "Words of a draft", Group.OUTPUT),
        (SECONDS, "Seconds of a reading", Group.OUTPUT),
        (MEAN, "Mean of the pixel values", Group.INPUT),
        (SPREAD, "Spread of the pixel values", Group.INPUT),
        (DARK, "1st percentile of the pixel values", Group.INPUT),
        (MIDDLE, "Median of the pixel values", Group.INPUT),
        (BRIGHT, "99th percentile of the pixel values", Group.INPUT),
        (ENTROPY, "Entropy of the pixel values", Group.INPUT),
        (SHARPNESS, "Sharpness", Group.INPUT),
        (EXPOSURE, "Exposure Index", Group.INPUT),
        (DEVIATION, "Deviation Index", Group.INPUT),
    )
    return tuple(
        Stream(name=name, title=title, group=group, measure=Measure.NUMBER)
        for name, title, group in named
    )


def _shares() -> tuple[Stream, ...]:
    return tuple(
        Stream(
            name=each.value.replace(" ", "-").lower(),
            title=f"Shares by {each.value}",
            group=Group.INPUT,
            measure=Measure.SHARES,
        )
        for each in WATCHED_CATEGORIES
    )


STREAMS: Final = (*_performance(), *_rates(), *_numbers(), *_shares())
CATEGORY_OF: Final = {each.value.replace(" ", "-").lower(): each for each in WATCHED_CATEGORIES}
