"""Findings that replace air in the lung: atelectasis, consolidation and edema."""

import numpy as np

from dicom.phantom.body import LEFT, RIGHT, Body, line
from dicom.phantom.canvas import BoolField, FloatField, Layer, edge
from dicom.phantom.chest import LOBAR, ZONES, Chest, PhantomFinding, Zone
from dicom.phantom.lungs import hilum


def atelectasis(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> tuple[str, BoolField]:
    """Draw an atelectasis of one side; return its site and its visible mask, bool [H, W]."""
    if finding.extent >= LOBAR:
        return ("lower lobe", _collapsed_lobe(chest, finding, side))
    return ("lower zone", _plates(chest, finding, side, rng))


def _plates(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> BoolField:
    body, lung = chest.body, chest.lung(side)
    index = 0 if side == RIGHT else 1
    # Fluid compresses the lung just above it; plates inside the fluid would be invisible.
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
    """Fill the lower lobe collapsed behind the heart, a triangle with a straight lateral edge."""
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


def consolidation(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> tuple[str, BoolField]:
    """Draw a consolidation of one side; return its zone and its visible mask, bool [H, W]."""
    zone: Zone = finding.zone or ZONES[int(rng.choice(3, p=[0.25, 0.25, 0.5]))]
    lung, body, canvas = chest.lung(side), chest.body, chest.canvas
    center = _zone_center(body, side, zone, rng)
    size = 0.05 + 0.09 * finding.extent
    wobble = canvas.noise(rng, 12) * np.float32(0.22) + canvas.noise(rng, 30) * np.float32(0.08)
    away = np.hypot(
        (lung.lateral - center[0]) / np.float32(1.15 * size), (canvas.v - center[1]) / size
    )
    inside = edge((1 - away - wobble).astype(np.float32), 0.55)
    if zone == "upper" and rng.random() < 0.5:
        # It stops at the minor fissure.
        inside *= edge(center[1] + 0.55 * size - canvas.v, 0.007)
    patchy = np.clip(0.84 + 0.12 * canvas.noise(rng, 24), 0.5, 0.98)
    tubes = _bronchogram(chest, side, center, size, rng)
    amount = inside * patchy * (1 - np.float32(0.38) * tubes) * (0.62 + 0.2 * finding.extent)
    chest.fill(amount.astype(np.float32) * lung.cavity)
    return (f"{zone} zone", np.asarray((inside > 0.4) & (lung.cavity > 0.5)))


def _zone_center(
    body: Body, side: int, zone: Zone, rng: np.random.Generator
) -> tuple[float, float]:
    """Return (distance from the midline, v) of the middle of a zone, clear of heart and mediastinum."""
    floor = body.domes[0 if side == RIGHT else 1]
    part = {"upper": 0.27, "middle": 0.55, "lower": 0.85}[zone] + 0.04 * float(rng.normal())
    v = body.apex + part * (floor - body.apex)
    at = np.asarray([v], dtype=np.float32)
    outer = float(body.wall(at)[0])
    inner = max(float(body.heart_edge(side, at)[0]), float(body.mediastinum_edge(side, at)[0]))
    return (inner + float(rng.uniform(0.4, 0.62)) * (outer - inner), v)


def _bronchogram(
    chest: Chest, side: int, center: tuple[float, float], size: float, rng: np.random.Generator
) -> FloatField:
    """Return the air-filled bronchi inside a consolidation, float32 [H, W] in 0..1."""
    layer = chest.canvas.layer()
    start = hilum(chest.body, side)
    for _ in range(5):
        target = rng.normal(0, 0.55, 2) * size + np.asarray(center)
        end = (side * float(target[0]), float(target[1]))
        middle = (0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]) + 0.02 * float(rng.normal()))
        beyond = (end[0] + 0.5 * (end[0] - middle[0]), end[1] + 0.5 * (end[1] - middle[1]))
        layer.stroke(line(middle, end, beyond), 0.006, 0.9)
        fork = end[1] + 0.03 * float(rng.normal())
        layer.stroke([end, (end[0] + side * 0.03, fork)], 0.0045, 0.8)
    return layer.field(0.0020)


def edema(chest: Chest, finding: PhantomFinding, rng: np.random.Generator) -> BoolField:
    """Draw an edema of both lungs; return the visible mask of its perihilar wings, bool [H, W]."""
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
    """Draw Kerley B lines: short lines from the lateral wall inwards, which are thickened septa."""
    floor = body.angles[0 if side == RIGHT else 1]
    for v in np.arange(floor - 0.24, floor - 0.05, 0.013) + rng.normal(0, 0.003, 15)[:1]:
        wall = float(body.wall(np.asarray([v], dtype=np.float32))[0])
        length = float(rng.uniform(0.02, 0.045))
        ends = [(side * (wall - 0.004), v), (side * (wall - length), v + 0.004)]
        layer.stroke(ends, 0.0024, 0.5 + 0.5 * extent)
