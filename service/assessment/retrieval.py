"""Retrieval in an evaluation: what was measured, or why it was not; and its section of the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from service.assessment.study_rows import StudyRow
from service.evaluation.labels import SIX, Label
from service.evaluation.report import Section, Table, shown, shown_with_interval
from service.evaluation.retrieval import (
    CUTS,
    FEWEST,
    Direction,
    ImageNeighbors,
    Retrieval,
    Vectors,
    image_neighbors,
    retrieval,
)


class NotMeasured(StrEnum):
    """Why retrieval was not measured."""

    NO_IMAGE_VECTORS = "The model gives no image vectors, or none was kept (--no-text)."
    NO_TEXT_TOWER = "The model has no text tower: reports have no vectors to compare images with."
    NO_REPORTS = "Fewer than two studies have both an image vector and a reference report."
    NO_LABELS = "Fewer than two studies have both an image vector and labels of all six findings."


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyVectors:
    """The vectors of an evaluation, by study id; rows float32 [D] of length 1.

    Attributes:
        images: Of the images that were read.
        texts: Of the reference reports; empty without a text tower.
        reports: The texts that were encoded.
        has_tower: Whether there is a text tower.
    """

    images: Mapping[str, Vectors] = field(default_factory=dict)
    texts: Mapping[str, Vectors] = field(default_factory=dict)
    reports: Mapping[str, str] = field(default_factory=dict)
    has_tower: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalFigures:
    """What was measured of the vectors, or why not.

    Attributes:
        cross_modal: From images to reports and back.
        neighbors: From images to similar images.
    """

    cross_modal: Retrieval | NotMeasured
    neighbors: ImageNeighbors | NotMeasured


def retrieval_figures(rows: Sequence[StudyRow], vectors: StudyVectors) -> RetrievalFigures:
    """Return the figures of the scored rows, in the order of their ids."""
    ordered = sorted((row for row in rows if row.id in vectors.images), key=lambda row: row.id)
    if not ordered:
        reason = NotMeasured.NO_IMAGE_VECTORS
        return RetrievalFigures(cross_modal=reason, neighbors=reason)
    return RetrievalFigures(
        cross_modal=_cross_modal(ordered, vectors), neighbors=_neighbors(ordered, vectors)
    )


def _cross_modal(rows: Sequence[StudyRow], vectors: StudyVectors) -> Retrieval | NotMeasured:
    if not vectors.has_tower:
        return NotMeasured.NO_TEXT_TOWER
    used = [row for row in rows if row.id in vectors.texts]
    if len(used) < FEWEST:
        return NotMeasured.NO_REPORTS
    return retrieval(
        np.stack([vectors.images[row.id] for row in used]),
        np.stack([vectors.texts[row.id] for row in used]),
        [vectors.reports[row.id] for row in used],
        [_positive(row) if _is_labeled(row) else None for row in used],
    )


def _neighbors(rows: Sequence[StudyRow], vectors: StudyVectors) -> ImageNeighbors | NotMeasured:
    used = [row for row in rows if _is_labeled(row)]
    if len(used) < FEWEST:
        return NotMeasured.NO_LABELS
    images = np.stack([vectors.images[row.id] for row in used])
    return image_neighbors(images, [_positive(row) for row in used])


def _is_labeled(row: StudyRow) -> bool:
    known = (Label.NEGATIVE, Label.POSITIVE)
    return all(row.truth.get(name, Label.UNKNOWN) in known for name in SIX)


def _positive(row: StudyRow) -> frozenset[str]:
    return frozenset(name for name in SIX if row.truth.get(name) is Label.POSITIVE)


def retrieval_section(figures: RetrievalFigures) -> Section:
    """Return the section of the report."""
    found, near = figures.cross_modal, figures.neighbors
    tables = [*_cross_modal_tables(found), *_neighbor_tables(near)]
    reasons = [each.value for each in (found, near) if isinstance(each, NotMeasured)]
    return Section("Retrieval", tuple(tables), text=" ".join(dict.fromkeys(reasons)))


def _cross_modal_tables(found: Retrieval | NotMeasured) -> Iterator[Table]:
    if isinstance(found, NotMeasured):
        return
    header = ("", *(f"R@{k}" for k in CUTS), *(f"R@{k}, equal texts" for k in CUTS),
              "Median rank", *(f"Labels@{k}" for k in CUTS))  # fmt: skip
    rows = [
        _direction_row("Image to report", found.to_text),
        _direction_row("Report to image", found.to_image),
    ]
    chance = ", ".join(
        f"R@{k} {found.chance[str(k)]:.3f} (equal texts {found.chance_equal[str(k)]:.3f})"
        for k in CUTS
    )
    yield Table(
        f"Images and reports, {found.pairs} pairs",
        header,
        tuple(rows),
        f"By chance: {chance}, labels {shown(found.label_chance, digits=2)}. {found.repeated_texts} "
        "reports share their text with another. Equal texts: a report with the partner's text counts as "
        "a hit. Labels: share of the first k with the same positive findings of the six, the own pair "
        f"included; {found.labeled} pairs have labels of all six. Wilson's intervals; the queries share "
        "their candidates.",
    )


def _direction_row(name: str, each: Direction) -> tuple[str, ...]:
    recalls = [*each.recall.values(), *each.recall_equal.values()]
    return (
        name,
        *(shown_with_interval(one, digits=2) for one in recalls),
        f"{each.median_rank:g}",
        *(shown(share, digits=2) for share in each.label_precision.values()),
    )


def _neighbor_tables(near: ImageNeighbors | NotMeasured) -> Iterator[Table]:
    if isinstance(near, NotMeasured):
        return
    yield Table(
        f"The images closest to each of {near.images} images",
        ("", *(f"Labels@{k}" for k in CUTS), "By chance"),
        (
            (
                "Same positive findings of the six",
                *(shown(share, digits=2) for share in near.label_precision.values()),
                f"{near.chance:.2f}",
            ),
        ),
        "Images of the same patient are compared too.",
    )
