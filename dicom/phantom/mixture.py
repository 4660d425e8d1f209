"""`random_findings`: a random list of findings to draw, in a realistic mixture."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from dicom.content.report import Observation, Side
from dicom.phantom.chest import LOBAR, ZONES, PhantomFinding

# Probability of heart failure, with up to three findings, in an abnormal image; otherwise the relative
# weights of the findings.
_FAILURE: Final = 0.22
_ALONE: Final = {
    Observation.ATELECTASIS: 0.24,
    Observation.CARDIOMEGALY: 0.20,
    Observation.CONSOLIDATION: 0.24,
    Observation.EDEMA: 0.06,
    Observation.PLEURAL_EFFUSION: 0.24,
    Observation.PNEUMOTHORAX: 0.14,
}
_LESS_THAN_A_LOBE: Final = LOBAR - 0.01


def random_findings(rng: np.random.Generator, *, normal: float = 0.4) -> tuple[PhantomFinding, ...]:
    """Return the findings of one image: none with probability `normal`.

    In heart failure cardiomegaly comes with edema, effusion or both, or alone. Otherwise one or two of
    the six are drawn by weight. No observation occurs twice.
    """
    if rng.random() < normal:
        return ()
    if rng.random() < _FAILURE:
        return _heart_failure(rng)
    names = list(_ALONE)
    weights = np.asarray(list(_ALONE.values()))
    count = 1 + int(rng.random() < 0.3)
    chosen = rng.choice(len(names), size=count, replace=False, p=weights / weights.sum())
    return visible([_one(names[int(i)], rng) for i in chosen])


def visible(findings: Sequence[PhantomFinding]) -> tuple[PhantomFinding, ...]:
    """Return `findings` with less atelectasis where an effusion would hide a collapsed lobe."""
    wet = [one for one in findings if one.observation is Observation.PLEURAL_EFFUSION]
    return tuple(
        replace(one, extent=min(one.extent, _LESS_THAN_A_LOBE))
        if one.observation is Observation.ATELECTASIS and any(_meet(one, other) for other in wet)
        else one
        for one in findings
    )


def _meet(one: PhantomFinding, other: PhantomFinding) -> bool:
    return one.side == other.side or Side.BILATERAL in (one.side, other.side)


def _heart_failure(rng: np.random.Generator) -> tuple[PhantomFinding, ...]:
    findings = [_one(Observation.CARDIOMEGALY, rng)]
    if rng.random() < 0.75:
        findings.append(_one(Observation.EDEMA, rng))
    if rng.random() < 0.7:
        side = Side.BILATERAL if rng.random() < 0.6 else Side.RIGHT
        findings.append(_one(Observation.PLEURAL_EFFUSION, rng, side))
    return tuple(findings)


def _one(
    observation: Observation, rng: np.random.Generator, side: Side | None = None
) -> PhantomFinding:
    extent = round(float(rng.beta(1.6, 2.0)), 3)
    drawn_side = Side.RIGHT if rng.random() < 0.54 else Side.LEFT
    if observation is Observation.CARDIOMEGALY:
        return PhantomFinding(observation=observation, extent=extent)
    if observation is Observation.EDEMA:
        return PhantomFinding(observation=observation, side=Side.BILATERAL, extent=extent)
    if observation is Observation.PLEURAL_EFFUSION and rng.random() < 0.25:
        drawn_side = Side.BILATERAL
    zone = ZONES[int(rng.choice(3, p=[0.25, 0.25, 0.5]))]
    return PhantomFinding(
        observation=observation,
        side=side or drawn_side,
        extent=extent,
        zone=zone if observation is Observation.CONSOLIDATION else None,
    )
