"""The six findings: what each does to the body and the water in the beam's path, and where it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from dicom.phantom.body import LEFT, RIGHT, Body, line
from dicom.phantom.canvas import BoolField, Canvas, FloatField, Layer, edge
from dicom.phantom.lungs import Lung, hilum
from dicom.report import SIX, Observation, Side

Zone = Literal["upper", "middle", "lower"]
ZONES: Final[tuple[Zone, ...]] = ("upper", "middle", "lower")
LOBAR: Final = 0.65  # an atelectasis of this extent and more is a lobe, below it is plates


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomFinding:
    """A finding to be drawn.

    Attributes:
        observation: One of the six (`dicom.report.SIX`).
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
        if self.observation not in SIX:
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


Drawn = tuple[Observation, Side | None, str, BoolField]


def afflicted(body: Body, findings: Sequence[PhantomFinding]) -> Body:
    """Return `body` with the heart, diaphragm and mediastinum that the findings give it."""
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


def diseased(chest: Chest, findings: Sequence[PhantomFinding]) -> tuple[Drawn, ...]:
    """Draw the findings into `chest`; return what each is, on which side, where in words and pixels.

    Air in the pleura is drawn last: nothing that lies in the lung shows through it.
    """
    order = sorted(
        range(len(findings)), key=lambda i: findings[i].observation is Observation.PNEUMOTHORAX
    )
    drawn = {i: _drawn(chest, findings[i], i) for i in order}
    return tuple(drawn[i] for i in range(len(findings)))


def _drawn(chest: Chest, finding: PhantomFinding, number: int) -> Drawn:
    rng = np.random.default_rng([chest.body.seed, 20 + number, SIX.index(finding.observation)])
    if finding.observation is Observation.CARDIOMEGALY:
        return (finding.observation, None, "heart", _heart(chest))
    if finding.observation is Observation.EDEMA:
        return (finding.observation, Side.BILATERAL, "perihilar", _edema(chest, finding, rng))
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
    # Where the meniscus stands midway between the midline and the wall.
    levels[index] = body.angles[index] - 0.035 - 0.33 * extent
    return replace(body, fluid=(levels[0], levels[1]))


def _heart(chest: Chest) -> BoolField:
    body, canvas = chest.body, chest.canvas
    right, left = (body.heart_edge(side, canvas.v) for side in (RIGHT, LEFT))
    above = canvas.v < np.minimum(*(body.dome(s, canvas.u) for s in (RIGHT, LEFT))) + 0.06
    return np.asarray((canvas.u > -right) & (canvas.u < left) & (right > 0) & above)


def _consolidation(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> tuple[str, BoolField]:
    zone: Zone = finding.zone or ZONES[int(rng.choice(3, p=[0.25, 0.25, 0.5]))]
    lung, body, canvas = chest.lung(side), chest.body, chest.canvas
    centre = _zone_centre(body, side, zone, rng)
    size = 0.05 + 0.09 * finding.extent
    wobble = canvas.noise(rng, 12) * np.float32(0.22) + canvas.noise(rng, 30) * np.float32(0.08)
    away = np.hypot(
        (lung.lateral - centre[0]) / np.float32(1.15 * size), (canvas.v - centre[1]) / size
    )
    inside = edge((1 - away - wobble).astype(np.float32), 0.55)
    if zone == "upper" and rng.random() < 0.5:
        # It stops at the minor fissure.
        inside *= edge(centre[1] + 0.55 * size - canvas.v, 0.007)
    patchy = np.clip(0.84 + 0.12 * canvas.noise(rng, 24), 0.5, 0.98)
    tubes = _bronchogram(chest, side, centre, size, rng)
    amount = inside * patchy * (1 - np.float32(0.38) * tubes) * (0.62 + 0.2 * finding.extent)
    chest.fill(amount.astype(np.float32) * lung.cavity)
    return (f"{zone} zone", np.asarray((inside > 0.4) & (lung.cavity > 0.5)))


def _zone_centre(
    body: Body, side: int, zone: Zone, rng: np.random.Generator
) -> tuple[float, float]:
    """Return (distance from the midline, v) of the middle of a zone that is seen clear of the heart."""
    floor = body.domes[0 if side == RIGHT else 1]
    part = {"upper": 0.27, "middle": 0.55, "lower": 0.85}[zone] + 0.04 * float(rng.normal())
    v = body.apex + part * (floor - body.apex)
    at = np.asarray([v], dtype=np.float32)
    outer = float(body.wall(at)[0])
    inner = max(float(body.heart_edge(side, at)[0]), float(body.mediastinum_edge(side, at)[0]))
    return (inner + float(rng.uniform(0.4, 0.62)) * (outer - inner), v)


def _bronchogram(
    chest: Chest, side: int, centre: tuple[float, float], size: float, rng: np.random.Generator
) -> FloatField:
    """Return the air-filled bronchi inside a consolidation, float32 [H, W] in 0..1."""
    layer = chest.canvas.layer()
    start = hilum(chest.body, side)
    for _ in range(5):
        target = rng.normal(0, 0.55, 2) * size + np.asarray(centre)
        end = (side * float(target[0]), float(target[1]))
        middle = (0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]) + 0.02 * float(rng.normal()))
        beyond = (end[0] + 0.5 * (end[0] - middle[0]), end[1] + 0.5 * (end[1] - middle[1]))
        layer.stroke(line(middle, end, beyond), 0.006, 0.9)
        fork = end[1] + 0.03 * float(rng.normal())
        layer.stroke([end, (end[0] + side * 0.03, fork)], 0.0045, 0.8)
    return layer.field(0.0020)


def _edema(chest: Chest, finding: PhantomFinding, rng: np.random.Generator) -> BoolField:
    body, canvas = chest.body, chest.canvas
    cloud = 1 + np.float32(0.22) * canvas.noise(rng, 14) + np.float32(0.12) * canvas.noise(rng, 45)
    mask = np.zeros_like(chest.filled, np.bool_)
    lines = canvas.layer()
    for side in (RIGHT, LEFT):
        lung, (u, v) = chest.lung(side), hilum(body, side)
        across = (lung.lateral - (abs(u) + 0.02)) / np.float32(0.11 + 0.06 * finding.extent)
        down = (canvas.v - (v + 0.05)) / np.float32(0.15 + 0.05 * finding.extent)
        wing = np.exp(-(np.abs(across) ** 3) - np.abs(down) ** 3)
        haze = (wing + np.float32(0.22)) * cloud * np.float32(0.2 + 0.36 * finding.extent)
        chest.fill(haze.astype(np.float32) * lung.cavity)
        mask |= (wing > 0.3) & (lung.open > 0.5)
        _kerley(body, side, lines, finding.extent, rng)
    chest.added[...] += np.float32(0.9) * lines.field(0.0006) * _clear(chest)
    np.multiply(chest.vessels, np.float32(1.1), out=chest.vessels)
    return mask


def _clear(chest: Chest) -> FloatField:
    return np.maximum(chest.lungs[0].open, chest.lungs[1].open)


def _kerley(body: Body, side: int, layer: Layer, extent: float, rng: np.random.Generator) -> None:
    """Draw short lines from the lateral wall inwards: thickened septa (Kerley B)."""
    floor = body.angles[0 if side == RIGHT else 1]
    for v in np.arange(floor - 0.24, floor - 0.05, 0.013) + rng.normal(0, 0.003, 15)[:1]:
        wall = float(body.wall(np.asarray([v], dtype=np.float32))[0])
        length = float(rng.uniform(0.02, 0.045))
        ends = [(side * (wall - 0.004), v), (side * (wall - length), v + 0.004)]
        layer.stroke(ends, 0.0024, 0.5 + 0.5 * extent)


def _effusion(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> tuple[str, BoolField]:
    body, canvas, lung = chest.body, chest.canvas, chest.lung(side)
    low = body.angles[0 if side == RIGHT else 1]
    top = low - 0.06 - 0.36 * finding.extent + 0.008 * float(rng.normal())
    along = np.clip(lung.lateral / body.wall(canvas.v), 0, 1)
    # The meniscus: lowest in the middle, rising steeply along the wall.
    dip = np.float32(0.05 + 0.06 * finding.extent) * (1 - along**2.5)
    depth = canvas.v - (top + dip)
    inside = edge(depth.astype(np.float32), 0.012 + 0.014 * finding.extent)
    veil = np.float32(0.25) * np.exp(np.minimum(depth, 0) / np.float32(0.035))
    chest.fill(np.maximum(inside * np.float32(0.97), veil).astype(np.float32) * (lung.depth > 0))
    mask = np.asarray((depth > 0) & (lung.cavity > 0.5) & (lung.lateral > 0))
    site = "costophrenic angle" if finding.extent < 0.2 else "lower zone"
    return (site, mask)


def _pneumothorax(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> tuple[str, BoolField]:
    body, canvas, lung = chest.body, chest.canvas, chest.lung(side)
    low = body.angles[0 if side == RIGHT else 1]
    fallen = 0.03 + 0.16 * finding.extent + 0.005 * float(rng.normal())
    retreat = 0.07 + 0.42 * finding.extent
    v = canvas.v
    # The lung that is left: the same outline, its apex fallen, its wall drawn in most above.
    t = np.clip((v - body.apex - fallen) / (low - body.apex - fallen), -1, 1)
    same = (body.apex + t * (low - body.apex)).astype(np.float32)
    wall = body.wall(same) * (1 - np.float32(retreat) * (1 - 0.72 * np.clip(t, 0, 1)))
    pleura = np.minimum(body.pleura(same), wall)
    left_over = np.where(t < 0, np.float32(-1), wall).astype(np.float32)
    lost = edge(lung.lateral - left_over, 0.003)
    lost = np.maximum(lost, edge(pleura - lung.lateral, 0.003) * (t < 0.12))
    region = lost * lung.cavity * (v < low)
    np.maximum(chest.free_air, region, out=chest.free_air)
    chest.filled[...] *= 1 - region
    chest.fill((1 - region) * lung.cavity * np.float32(0.05 + 0.3 * finding.extent**2))
    rows = (t[:, 0] > 0.0) & (v[:, 0] < low)
    outer = np.stack([side * wall[rows, 0], v[rows, 0]], axis=1)
    inner = np.stack([side * pleura[rows, 0], v[rows, 0]], axis=1)[: max(int(0.1 * rows.sum()), 2)]
    layer = canvas.layer()
    layer.stroke(np.concatenate([inner[::-1], outer]), 0.0032, 0.9)
    chest.added[...] += np.float32(1.5) * layer.field(0.0006) * lung.open
    site = "apex" if finding.extent < 0.35 else "apical and lateral"
    return (site, np.asarray((region > 0.5) & (lung.open > 0.3)))


def _atelectasis(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> tuple[str, BoolField]:
    if finding.extent >= LOBAR:
        return ("lower lobe", _collapsed_lobe(chest, finding, side))
    return ("lower zone", _plates(chest, finding, side, rng))


def _plates(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> BoolField:
    body, lung = chest.body, chest.lung(side)
    index = 0 if side == RIGHT else 1
    # Lung that fluid presses on collapses just above it; in the fluid nobody could see it.
    floor = min(body.domes[index], body.fluid[index])
    layer = chest.canvas.layer()
    for number in range(1 + round(2.4 * finding.extent)):
        v = floor - 0.045 - 0.05 * number + 0.008 * float(rng.normal())
        at = np.asarray([v], dtype=np.float32)
        wall = float(body.wall(at)[0])
        inner = max(float(body.heart_edge(side, at)[0]), 0.08) + 0.01
        start = inner + float(rng.uniform(0.02, 0.25)) * (wall - inner)
        end = wall - float(rng.uniform(0.03, 0.3)) * (wall - inner)
        slope = 0.022 * float(rng.normal())
        points = line(
            (side * start, v),
            (side * (start + end) / 2, v - 0.006 + slope / 2),
            (side * end, v + slope),
        )
        layer.stroke(points, 0.007 + 0.010 * finding.extent, 0.95)
    band = layer.field(0.0042)
    chest.fill(np.float32(0.36 + 0.2 * finding.extent) * band * lung.cavity)
    return np.asarray((band > 0.3) & (lung.open > 0.3))


def _collapsed_lobe(chest: Chest, finding: PhantomFinding, side: int) -> BoolField:
    """Fill the lower lobe, drawn down behind the heart: a triangle with a straight lateral edge."""
    body, lung, (u, v) = chest.body, chest.lung(side), hilum(chest.body, side)
    floor = body.domes[0 if side == RIGHT else 1]
    at = np.asarray([floor - 0.03], dtype=np.float32)
    beyond = max(float(body.heart_edge(side, at)[0]) + 0.01, 0.12) + 0.02 + 0.06 * finding.extent
    reach = min(beyond, 0.8 * float(body.wall(at)[0]))
    layer = chest.canvas.layer()
    lobe = [
        (side * 0.03, v + 0.02),
        (u, v + 0.02),
        (side * reach, floor + 0.06),
        (side * 0.03, floor + 0.1),
    ]
    layer.polygon(lobe, 1.0)
    dense = layer.field(0.006)
    chest.fill(np.float32(0.74) * dense * lung.cavity)
    return np.asarray((dense > 0.5) & (lung.cavity > 0.5))


_Painter = Callable[[Chest, PhantomFinding, int, np.random.Generator], tuple[str, BoolField]]
_PAINTERS: Final[dict[Observation, _Painter]] = {
    Observation.ATELECTASIS: _atelectasis,
    Observation.CONSOLIDATION: _consolidation,
    Observation.PLEURAL_EFFUSION: _effusion,
    Observation.PNEUMOTHORAX: _pneumothorax,
}
