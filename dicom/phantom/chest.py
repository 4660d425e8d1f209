"""A chest before its parts are added up, and the findings that are to be drawn into it."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom.body import RIGHT, Body
from dicom.phantom.canvas import Canvas, FloatField
from dicom.phantom.lungs import Lung

Zone = Literal["upper", "middle", "lower"]
ZONES: Final[tuple[Zone, ...]] = ("upper", "middle", "lower")
LOBAR: Final = 0.65  # an atelectasis of this extent and more is a lobe, below it is plates


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomFinding:
    """A finding to be drawn.

    Attributes:
        observation: One of the six (`dicom.content.report.CODED_OBSERVATIONS`).
        side: The patient's side; None leaves it to the seed (cardiomegaly has none, edema is
            bilateral whatever is said).
        extent: 0 (just visible) to 1 (gross).
        zone: For a consolidation; None leaves it to the seed.
    """

    observation: Observation
    side: Side | None = None
    extent: float = 0.5
    zone: Zone | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            ValueError: The observation is none of the six or the extent is not in 0..1.
        """
        if self.observation not in CODED_OBSERVATIONS:
            raise ValueError(f"a phantom cannot show {self.observation}")
        if not 0 <= self.extent <= 1:
            raise ValueError("the extent of a finding is 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chest:
    """The parts of one film before they are added up; the findings change the last four in place.

    Attributes:
        lungs: Right and left.
        soft: float32 [H, W], cm of water without lungs and bone.
        bone: float32 [H, W], what bone adds, cm of water.
        vessels: float32 [H, W], cm of water.
        texture: float32 [H, W], fine grain of the lungs.
        filled: float32 [H, W] in 0..1, how much of the lung's air is replaced by water.
        free_air: float32 [H, W] in 0..1, where the pleural cavity holds air instead of lung.
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
        """Replace `amount` (0..1) of what air is left by water."""
        np.subtract(1, (1 - self.filled) * (1 - np.clip(amount, 0, 1)), out=self.filled)
