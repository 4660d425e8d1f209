"""The six findings: how each changes the body, and where it is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom.body import LEFT, RIGHT, Body
from dicom.phantom.canvas import BoolField
from dicom.phantom.chest import LOBAR, Chest, PhantomFinding
from dicom.phantom.lung_disease import atelectasis, consolidation, edema
from dicom.phantom.pleural_disease import effusion, pneumothorax

Drawn = tuple[Observation, Side | None, str, BoolField]


def with_anatomy_of(body: Body, findings: Sequence[PhantomFinding]) -> Body:
    """Return `body` with heart, diaphragm, fluid level and mediastinum changed by the findings."""
    for number, finding in enumerate(findings):
        if finding.observation is Observation.CARDIOMEGALY:
            body = _big_hearted(body, finding.extent)
        elif finding.observation is Observation.ATELECTASIS:
            for side in _sides(body, finding, number):
                body = _shrunken(body, side, finding.extent)
        elif finding.observation is Observation.PLEURAL_EFFUSION:
            for side in _sides(body, finding, number):
                body = _flooded(body, side, finding.extent)
        elif finding.observation is Observation.PNEUMOTHORAX and finding.extent > 0.8:
            (side, *_) = _sides(body, finding, number)
            body = replace(body, shift=body.shift - 0.014 * side)
    return body


def draw_findings(chest: Chest, findings: Sequence[PhantomFinding]) -> tuple[Drawn, ...]:
    """Draw the findings into `chest`; return (observation, side, site, mask) of each, in their order.

    A pneumothorax is drawn last, because no finding of the lung is visible through free air.
    """
    order = sorted(
        range(len(findings)), key=lambda i: findings[i].observation is Observation.PNEUMOTHORAX
    )
    drawn = {i: _drawn(chest, findings[i], i) for i in order}
    return tuple(drawn[i] for i in range(len(findings)))


def _drawn(chest: Chest, finding: PhantomFinding, number: int) -> Drawn:
    rng = np.random.default_rng(
        [chest.body.seed, 20 + number, CODED_OBSERVATIONS.index(finding.observation)]
    )
    if finding.observation is Observation.CARDIOMEGALY:
        return (finding.observation, None, "heart", _heart(chest))
    if finding.observation is Observation.EDEMA:
        return (finding.observation, Side.BILATERAL, "perihilar", edema(chest, finding, rng))
    sides = _sides(chest.body, finding, number)
    painted = [_PAINTERS[finding.observation](chest, finding, side, rng) for side in sides]
    mask = np.logical_or.reduce([mask for _, mask in painted])
    return (finding.observation, _named(sides), painted[0][0], mask)


def _sides(body: Body, finding: PhantomFinding, number: int) -> tuple[int, ...]:
    if finding.side is None:
        rng = np.random.default_rng([body.seed, 40 + number])
        return (RIGHT,) if rng.random() < 0.55 else (LEFT,)
    return {Side.RIGHT: (RIGHT,), Side.LEFT: (LEFT,), Side.BILATERAL: (RIGHT, LEFT)}[finding.side]


def _named(sides: tuple[int, ...]) -> Side:
    if len(sides) == 2:
        return Side.BILATERAL
    return Side.RIGHT if sides[0] == RIGHT else Side.LEFT


def _big_hearted(body: Body, extent: float) -> Body:
    ratio = 0.535 + 0.15 * extent
    wide = 2 * body.half_width * ratio
    return replace(body, heart=(0.31 * wide, 0.69 * wide))


def _shrunken(body: Body, side: int, extent: float) -> Body:
    index = 0 if side == RIGHT else 1
    domes = list(body.domes)
    domes[index] -= 0.025 + 0.035 * extent
    pull = 0.014 * side if extent >= LOBAR else 0.0
    return replace(body, domes=(domes[0], domes[1]), shift=body.shift + pull)


def _flooded(body: Body, side: int, extent: float) -> Body:
    index = 0 if side == RIGHT else 1
    levels = list(body.fluid)
    # Height of the meniscus midway between the midline and the wall.
    levels[index] = body.angles[index] - 0.035 - 0.33 * extent
    return replace(body, fluid=(levels[0], levels[1]))


def _heart(chest: Chest) -> BoolField:
    body, canvas = chest.body, chest.canvas
    right, left = (body.heart_edge(side, canvas.v) for side in (RIGHT, LEFT))
    above = canvas.v < np.minimum(*(body.dome(s, canvas.u) for s in (RIGHT, LEFT))) + 0.06
    return np.asarray((canvas.u > -right) & (canvas.u < left) & (right > 0) & above)


_Painter = Callable[[Chest, PhantomFinding, int, np.random.Generator], tuple[str, BoolField]]
_PAINTERS: Final[dict[Observation, _Painter]] = {
    Observation.ATELECTASIS: atelectasis,
    Observation.CONSOLIDATION: consolidation,
    Observation.PLEURAL_EFFUSION: effusion,
    Observation.PNEUMOTHORAX: pneumothorax,
}
