"""The parts of a chest before they are added, and the findings to draw into it."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom.body import RIGHT, Body
from dicom.phantom.canvas import Canvas, FloatField
from dicom.phantom.lungs import Lung

Zone = Literal["upper", "middle", "lower"]
ZONES: Final[tuple[Zone, ...]] = ("upper", "middle", "lower")
LOBAR: Final = 0.65  # atelectasis of at least this extent is a collapsed lobe, below it plates


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomFinding:
    """A finding to draw.

    Attributes:
        observation: One of the six (`dicom.content.report.CODED_OBSERVATIONS`).
        side: The patient's side; None takes it from the seed. It is ignored for cardiomegaly, which
            has no side, and for edema, which is always bilateral.
        extent: 0 (just visible) to 1 (gross).
        zone: Zone of a consolidation; None takes it from the seed.
    """

    observation: Observation
    side: Side | None = None
    extent: float = 0.5
    zone: Zone | None = None

    def __post_init__(self) -> None:
        """Refuse a finding that cannot be drawn.

        Raises:
            ValueError: The observation is none of the six or the extent is not in 0..1.
        """
        if self.observation not in CODED_OBSERVATIONS:
            raise ValueError(f"a phantom cannot show {self.observation}")
        if not 0 <= self.extent <= 1:
            raise ValueError("the extent of a finding is 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chest:
    """The parts of one image; findings change vessels, filled, free_air and added in place.

    Attributes:
        lungs: Right and left.
        soft: float32 [H, W], cm of water without lungs and bone.
        bone: float32 [H, W], cm of water that bone adds.
        vessels: float32 [H, W], cm of water.
        texture: float32 [H, W], fine grain of the lungs, about unit deviation.
        filled: float32 [H, W] in 0..1, fraction of the lung's air that is replaced by water.
        free_air: float32 [H, W] in 0..1, fraction of the pleural cavity with air instead of lung.
        added: float32 [H, W], cm of water of lines and membranes.
    """

    body: Body
    canvas: Canvas
    lungs: tuple[Lung, Lung]
    soft: FloatField
    bone: FloatField
    vessels: FloatField
    texture: FloatField
    filled: FloatField
    free_air: FloatField
    added: FloatField

    def lung(self, side: int) -> Lung:
        """Return the lung of one side."""
        return self.lungs[0 if side == RIGHT else 1]

    def fill(self, amount: FloatField) -> None:
        """Replace the fraction `amount` (0..1) of the remaining air by water."""
        np.subtract(1, (1 - self.filled) * (1 - np.clip(amount, 0, 1)), out=self.filled)
