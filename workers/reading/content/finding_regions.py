"""Adds regions from the model's heat maps to findings, and notes where no region is shown."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.content.regions import shows_one_side
from dicom.content.report import CODED_OBSERVATIONS, Finding, Observation, Presence
from workers.model.prompts import IS_THERE
from workers.model.vlm import Heat
from workers.reading.content.heat_grid import heat_grid
from workers.reading.content.locating import locate

# Edema is diffuse in both lungs: it has no location.
LOCATED: Final = tuple(name for name in CODED_OBSERVATIONS if name is not Observation.EDEMA)
QUESTIONS: Final = frozenset(IS_THERE[name.value] for name in LOCATED)
_SHOWN: Final = (Presence.PRESENT, Presence.UNCERTAIN)
NOTE: Final = (
    "Outlines show the approximate area that supports a finding, not its border; a cross marks "
    "the point of strongest support."
)
_ONE_SIDE: Final = "The text states bilateral {name}: the outline shows one side only."
_NO_OUTLINE: Final = "No outline is drawn for {names}. This does not mean absence."
_NO_MEMORY: Final = "Not enough memory to locate {name} in the image."
_ELSEWHERE: Final = (
    "The text states {side} {name}, but the model located it on the other side: no outline "
    "is shown."
)


def with_regions(
    findings: Sequence[Finding],
    heat: Heat,
    frame: NDArray[np.float32],
    *,
    locates: bool = False,
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return the findings with the regions that may be shown, and notes for the radiologist.

    Args:
        findings: One for each observation.
        heat: Heat map of each question that the model answered with yes.
        frame: float32 [rows, columns] in 0..1, 0 black: the image that was read.
        locates: The model is configured to locate findings: a note names those without an outline.
    """
    pairs = [_placed(finding, heat, frame) for finding in findings]
    notes = [note for _, note in pairs if note]
    found = tuple(finding for finding, _ in pairs)
    columns = frame.shape[1]
    notes += [
        _ONE_SIDE.format(name=one.observation.value)
        for one in found
        if shows_one_side(one, columns)
    ]
    if locates:
        notes += _without_outline([finding for finding, note in pairs if not note])
    if any(one.region for one in found):
        notes.append(NOTE)
    return found, tuple(notes)


def _without_outline(findings: Sequence[Finding]) -> list[str]:
    """Return a note that names the positive findings without a region, if there are any."""
    names = [
        one.observation.value
        for one in findings
        if one.presence in _SHOWN
        and one.region is None
        and one.observation is not Observation.NO_FINDING
    ]
    return [_NO_OUTLINE.format(names=", ".join(names))] if names else []


def _placed(
    finding: Finding,
    heat: Heat,
    frame: NDArray[np.float32],
) -> tuple[Finding, str]:
    name = finding.observation
    question = IS_THERE[name.value] if name in LOCATED else ""
    if finding.presence not in _SHOWN or question not in heat:
        return finding, ""
    one = heat[question]
    if one is None:
        return finding, _NO_MEMORY.format(name=name.value)
    finding = dataclasses.replace(finding, heat=heat_grid(one, *frame.shape))
    found = locate(one, frame, finding.side)
    if found.contradicts and finding.side is not None:
        return finding, _ELSEWHERE.format(side=finding.side.value, name=name.value)
    return dataclasses.replace(finding, region=found.region), ""
