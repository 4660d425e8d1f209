"""One synthetic person: sizes and outlines of the chest in a frontal radiograph.

All lengths are in body units (see `dicom.phantom.canvas`): 1 is about 40 cm.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicom.phantom.canvas import FloatField, Placement

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

View = Literal["PA", "AP"]
RIGHT: Final = -1  # the patient's right is the image's left
LEFT: Final = 1

_Table = tuple[tuple[float, ...], tuple[float, ...]]

# First row: fraction of the lung's height from apex to costophrenic angle. Second row: the lateral wall
# or the medial border of the pleura there, as a fraction of the greatest half width; estimated by eye
# from real radiographs.
_WALL: Final = (
    (-0.02, 0.0, 0.01, 0.03, 0.06, 0.12, 0.19, 0.33, 0.47, 0.60, 0.74, 0.88, 1.0, 1.2),
    (0.33, 0.365, 0.43, 0.50, 0.565, 0.665, 0.75, 0.845, 0.905, 0.945, 0.972, 0.99, 1.0, 0.985),
)
_PLEURA: Final = (
    (-0.02, 0.0, 0.01, 0.03, 0.07, 0.12, 0.25, 0.5, 1.0, 1.2),
    (0.36, 0.34, 0.27, 0.215, 0.17, 0.13, 0.09, 0.08, 0.08, 0.08),
)


# First row: v below the top of the right diaphragm. Second row: the heart's border there, as a fraction
# of its greatest reach.
_HEART: Final[dict[int, _Table]] = {
    LEFT: (
        (-0.27, -0.22, -0.16, -0.09, -0.03, 0.01, 0.04, 0.075, 0.10),
        (0.15, 0.40, 0.60, 0.83, 0.96, 1.0, 0.97, 0.78, 0.10),
    ),
    RIGHT: (
        (-0.27, -0.21, -0.16, -0.10, -0.05, 0.0, 0.04, 0.075, 0.10),
        (0.35, 0.62, 0.80, 0.96, 1.0, 0.93, 0.75, 0.40, 0.0),
    ),
}
# First row: v below the lung apices. Second row: the border of the great vessels there.
_VESSELS_RIGHT: Final[_Table] = (
    (-0.2, 0.0, 0.08, 0.16, 0.22, 0.27, 0.32, 0.38, 0.45, 0.8),
    (0.05, 0.05, 0.05, 0.055, 0.061, 0.063, 0.068, 0.07, 0.06, 0.05),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The parameters of a person and an exposure.

    Attributes:
        half_width: Greatest half width of the thorax inside the ribs.
        apex: v of the lung apices.
        angles: v of the costophrenic angles (right, left).
        domes: v of the tops of the diaphragm (right, left).
        heart: Reach of the heart from the midline to the image's left and right.
        knob: Reach of the aortic knob from the midline.
        turn: Rotation about the long axis, as sideways shift of anterior structures.
        shift: Mediastinal shift to the image's right.
        fluid: v of the fluid level in the pleura (right, left); beyond the image for no fluid.
        habitus: Soft tissue, 0.8 thin to 1.25 heavy.
        breasts: Thickness of the breasts in cm, 0 for none.
        arms: Distance of the arms from the trunk.
        stomach: Half width of the gastric bubble, 0 for none.
        exposure: Center of the detector's curve, in cm of water.
        latitude: Width of the detector's curve, in cm of water: greater is flatter.
        white: Brightness of the densest parts, 0.85 to 1.
        noise: Quantum noise, relative.
        collimation: Dark border at left, right, top, bottom, as fractions of the image's shorter side.
        marker: Whether a lead letter L lies in the corner.
    """

    seed: int
    view: View
    sex: Literal["F", "M"]
    age: int
    half_width: float
    apex: float
    angles: tuple[float, float]
    domes: tuple[float, float]
    heart: tuple[float, float]
    knob: float
    turn: float
    shift: float = 0.0
    fluid: tuple[float, float] = (2.0, 2.0)
    habitus: float
    breasts: float
    arms: float
    stomach: float
    exposure: float
    latitude: float
    white: float
    noise: float
    collimation: tuple[float, float, float, float]
    marker: bool
    placement: Placement

    def wall(self, v: FloatField) -> FloatField:
        """Return the half width of the thorax inside the ribs at each `v`."""
        return self._along(_WALL, v)

    def pleura(self, v: FloatField) -> FloatField:
        """Return the distance of the lungs' medial border from the midline at each `v`."""
        return self._along(_PLEURA, v)

    def _along(self, table: _Table, v: FloatField) -> FloatField:
        height = sum(self.angles) / 2 - self.apex
        t = np.clip((v - self.apex) / height, table[0][0], table[0][-1])
        return np.asarray(curve(*table)(t) * self.half_width, dtype=np.float32)

    def dome(self, side: int, u: FloatField) -> FloatField:
        """Return v of the diaphragm of one side at each `u`."""
        index = 0 if side == RIGHT else 1
        top, low = self.domes[index], self.angles[index]
        along = np.clip(side * u / np.float32(self.half_width), 0, 1.15)
        lateral = np.clip(along - 0.45, 0, None) / 0.55
        medial = np.clip(0.45 - along, 0, None) / 0.45
        return np.asarray(top + (low - top) * lateral**2.6 + 0.035 * medial**2, dtype=np.float32)

    def heart_edge(self, side: int, v: FloatField) -> FloatField:
        """Return the heart's reach to one side of the midline at each `v`; -1 above and below it."""
        floor = self.domes[0]
        reach = self.heart[0 if side == RIGHT else 1]
        at, of = _HEART[side]
        outline = curve(at, of)(np.clip(v - floor, -0.28, 0.11)) * np.float32(reach)
        lean = self.shift + self.turn
        beyond = (v - floor < -0.27) | (v - floor > 0.10)
        return np.asarray(np.where(beyond, -1.0, outline + side * lean), dtype=np.float32)

    def mediastinum_edge(self, side: int, v: FloatField) -> FloatField:
        """Return the reach of great vessels and spine to one side of the midline at each `v`."""
        t = v - self.apex
        at, of = _VESSELS_RIGHT if side == RIGHT else _vessels_left(self.knob)
        outline = curve(at, of)(np.clip(t, at[0], at[-1]))
        return np.asarray(outline + side * (self.shift + 0.5 * self.turn), dtype=np.float32)


def _vessels_left(knob: float) -> _Table:
    """Return the left border: subclavian artery, aortic knob, window, pulmonary trunk, aorta."""
    at = (-0.2, 0.0, 0.08, 0.14, 0.175, 0.205, 0.235, 0.265, 0.29, 0.325, 0.37, 0.42, 0.8)
    arch = (0.9 * knob, knob, 0.9 * knob)
    return (at, (0.05, 0.052, 0.055, 0.057, *arch, 0.066, 0.066, 0.076, 0.078, 0.06, 0.055))


@lru_cache(maxsize=64)
def curve(at: tuple[float, ...], of: tuple[float, ...]) -> "PchipInterpolator":
    """Return a smooth curve through the points that does not overshoot between them."""
    return _interpolated(np.asarray(at), np.asarray(of))


def made_up(seed: int, view: View) -> Body:
    """Return an adult with a normal heart and clear lungs; the same arguments give the same person."""
    rng = np.random.default_rng([seed, 1])
    sex: Literal["F", "M"] = "F" if rng.random() < 0.48 else "M"
    supine = view == "AP"
    half_width = float(rng.uniform(0.335, 0.38) if supine else rng.uniform(0.345, 0.40))
    apex = float(rng.uniform(0.07, 0.115))
    dome = float(rng.uniform(0.60, 0.66) if supine else rng.uniform(0.635, 0.70))
    ratio = float(rng.uniform(0.43, 0.48) if supine else rng.uniform(0.39, 0.475))
    depth = float(rng.uniform(0.08, 0.11))
    lower_left = float(rng.uniform(0.012, 0.03))
    turn = float(np.clip(rng.normal(0, 0.004), -0.01, 0.01))
    wide = 2 * half_width * ratio
    body = Body(
        seed=seed,
        view=view,
        sex=sex,
        age=int(rng.integers(22, 89)),
        half_width=half_width,
        apex=apex,
        angles=(dome + depth, dome + depth + 0.6 * lower_left),
        domes=(dome, dome + lower_left),
        heart=(0.30 * wide, 0.70 * wide),
        knob=float(rng.uniform(0.075, 0.1)),
        turn=turn,
        habitus=float(np.clip(rng.normal(1.0, 0.1), 0.8, 1.25)),
        breasts=float(rng.uniform(1.2, 4.2)) if sex == "F" else 0.0,
        arms=float(rng.uniform(0.0, 0.07)),
        stomach=0.0 if rng.random() < 0.25 else float(rng.uniform(0.05, 0.11)),
        exposure=float(rng.normal(13.4, 0.7)),
        latitude=float(rng.uniform(2.9, 4.2)),
        white=float(rng.uniform(0.86, 1.0)),
        noise=float(rng.uniform(0.6, 1.6) * (1.3 if supine else 1.0)),
        collimation=_collimation(rng),
        marker=bool(rng.random() < 0.85),
        placement=_placement(rng, supine=supine),
    )
    return replace(body, exposure=body.exposure + 2.0 * (body.habitus - 1))


def _collimation(rng: np.random.Generator) -> tuple[float, float, float, float]:
    if rng.random() < 0.6:
        return (0.0, 0.0, 0.0, 0.0)
    left, right, top, bottom = (float(side) for side in rng.uniform(0.0, 0.035, 4))
    return (left, right, top, bottom)


def _placement(rng: np.random.Generator, *, supine: bool) -> Placement:
    return Placement(
        zoom=float(rng.uniform(0.93, 1.06)),
        shift=float(rng.normal(0, 0.012)),
        drop=float(rng.uniform(-0.01, 0.05)),
        lean=float(rng.normal(0, 0.03 if supine else 0.012)),
    )


def line(*points: tuple[float, float], count: int = 24) -> NDArray[np.float64]:
    """Return `count` points on a smooth curve through `points`, in order."""
    knots = np.asarray(points, dtype=np.float64)
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
    along = _interpolated(steps, knots)
    return np.asarray(along(np.linspace(0, steps[-1], count)))


def _interpolated(at: NDArray[np.float64], of: NDArray[np.float64]) -> "PchipInterpolator":
    # Imported here, because the import takes 0.4 s and most processes only recognize phantoms.
    from scipy.interpolate import PchipInterpolator  # noqa: PLC0415

    return PchipInterpolator(at, of)  # type: ignore[no-untyped-call] # scipy has no types
