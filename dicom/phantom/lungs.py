"""Lungs, vessels and soft tissue of the chest, in cm of water along the beam."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.phantom.body import LEFT, RIGHT, Body, curve, line
from dicom.phantom.canvas import Canvas, FloatField, Layer, edge, resized

_VESSEL_CM: Final = 2.6
# The first branches of a lung's vessels: (angle from the lateral direction in radians, positive
# downwards, width).
_FAN: Final = (
    (-1.35, 0.010),
    (-1.05, 0.009),
    (-0.7, 0.008),
    (-0.35, 0.006),
    (-0.05, 0.0055),
    (0.2, 0.006),
    (0.45, 0.008),
    (0.7, 0.009),
    (0.9, 0.010),
    (1.1, 0.012),
    (1.3, 0.012),
    (1.45, 0.009),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lung:
    """One lung on the canvas.

    Attributes:
        side: RIGHT or LEFT.
        lateral: float32 [H, W], distance from the midline towards this side, body units.
        depth: float32 [H, W], cm of lung in the beam's path, also over heart and diaphragm.
        open: float32 [H, W] in 0..1, lung not superimposed on heart, mediastinum or diaphragm.
        cavity: float32 [H, W] in 0..1, the pleural cavity above the diaphragm, heart included.
    """

    side: int
    lateral: FloatField
    depth: FloatField
    open: FloatField
    cavity: FloatField


def lung(body: Body, canvas: Canvas, side: int) -> Lung:
    """Return one lung of `body`."""
    lateral = np.float32(side) * canvas.u
    wall = body.wall(canvas.v)
    inside = edge(wall - lateral, 0.005) * edge(lateral - body.pleura(canvas.v), 0.022)
    across = lateral / np.maximum(wall, np.float32(0.02))
    profile = np.sqrt(np.maximum(1 - across * across * across, 0))
    thickness = curve((-0.1, 0.0, 0.1, 0.3, 0.6, 0.9), (1.0, 5.0, 9.5, 14.5, 17.0, 17.0))
    deep = thickness(np.clip(canvas.v - body.apex, -0.1, 0.9)).astype(np.float32)
    below = canvas.v - body.dome(side, canvas.u[canvas.rows // 2][None, :])
    above = edge(-below, 0.006)
    sulcus = np.float32(0.16) * np.exp(-np.maximum(below, 0) / np.float32(0.06))
    outline = np.maximum(body.heart_edge(side, canvas.v), body.mediastinum_edge(side, canvas.v))
    outline += _unevenness(body, canvas, side)
    middle = edge(outline - lateral, 0.010)
    # There is lung behind and in front of the heart, but hardly any at the great vessels above it.
    covered = middle * (0.86 - 0.14 * edge(canvas.v - np.float32(body.domes[0] - 0.17), 0.12))
    seen = (1 - covered) * (above + (1 - above) * sulcus)
    return Lung(
        side=side,
        lateral=lateral,
        depth=np.asarray(inside * profile * deep * seen, dtype=np.float32),
        open=np.asarray(inside * above * (1 - middle), dtype=np.float32),
        cavity=np.asarray(inside * above, dtype=np.float32),
    )


def _unevenness(body: Body, canvas: Canvas, side: int) -> FloatField:
    """Return the deviation of the mediastinal border from the smooth one, float32 [H, 1], body units."""
    rng = np.random.default_rng([body.seed, 9, side + 1])
    at = tuple(np.linspace(-0.3, 1.3, 26).tolist())
    bumps = curve(at, tuple((0.003 * rng.standard_normal(26)).tolist()))
    return np.asarray(bumps(np.clip(canvas.v, -0.3, 1.3)), dtype=np.float32)


def soft_tissue(body: Body, canvas: Canvas) -> FloatField:
    """Return trunk, neck, arms and organs without lungs and bones, float32 [H, W] in cm of water."""
    coarse = canvas.coarser(3)
    u, v = np.abs(coarse.u), coarse.v
    parts = (_trunk(body, u, v), _girdle(u, v), _neck(u, v), _arm(body, u, v))
    total = np.sqrt(np.sqrt(sum((part**4 for part in parts), np.float32(0))))
    total = total * np.float32(body.habitus)
    if body.breasts:
        total += _breasts(body, coarse)
    total *= 1 + np.float32(0.012) * coarse.noise(np.random.default_rng([body.seed, 3]), 9)
    total += _organs(body, coarse)
    return resized(np.asarray(total, dtype=np.float32), canvas.rows, canvas.columns)


def _trunk(body: Body, u: FloatField, v: FloatField) -> FloatField:
    outer = body.half_width * (1.15 + 0.18 * body.habitus)
    half = curve((-0.2, 0.0, 0.1, 0.3, 0.5, 0.75, 1.2), (0.02, 0.35, 0.9, 1.0, 0.99, 0.97, 1.02))
    deep = curve((-0.2, 0.0, 0.15, 0.3, 0.55, 0.8, 1.2), (4.0, 8.0, 14.0, 18.5, 21.5, 23.5, 24.0))
    at = np.clip(v, -0.2, 1.2)
    across = u / (half(at) * np.float32(outer)).astype(np.float32)
    return np.asarray(deep(at) * np.sqrt(np.clip(1 - across**4.0, 0, 1)), dtype=np.float32)


def _girdle(u: FloatField, v: FloatField) -> FloatField:
    """Return the shoulder muscles: a thick rod from the neck to the shoulder joint."""
    return _rod(u, v, ((0.10, 0.15), (0.46, 0.20)), radius=0.15, depth=13.5)


def _arm(body: Body, u: FloatField, v: FloatField) -> FloatField:
    ends = ((0.46, 0.20), (0.56 + 3 * body.arms, 1.3))
    return _rod(u, v, ends, radius=0.105 * body.habitus, depth=12.0)


def _neck(u: FloatField, v: FloatField) -> FloatField:
    across = u / (np.float32(0.105) + np.maximum(v, 0) * np.float32(0.5))
    fade = edge(0.2 - v, 0.08)
    return np.asarray(fade * 11.5 * np.sqrt(np.clip(1 - across**4, 0, 1)), dtype=np.float32)


def _rod(
    u: FloatField,
    v: FloatField,
    ends: tuple[tuple[float, float], tuple[float, float]],
    *,
    radius: float,
    depth: float,
) -> FloatField:
    (u0, v0), (u1, v1) = ends
    du, dv = u1 - u0, v1 - v0
    t = np.clip(((u - u0) * du + (v - v0) * dv) / (du * du + dv * dv), 0, 1)
    square = ((u - u0 - t * du) ** 2 + (v - v0 - t * dv) ** 2) / (radius * radius)
    return np.asarray(depth * np.clip(1 - square * np.sqrt(square), 0, 1) ** 0.8, dtype=np.float32)


def _breasts(body: Body, canvas: Canvas) -> FloatField:
    rng = np.random.default_rng([body.seed, 4])
    total = np.zeros((canvas.rows, canvas.columns), np.float32)
    for side in (RIGHT, LEFT):
        radius = 0.085 + 0.02 * body.breasts + float(rng.normal(0, 0.006))
        du = (canvas.u * side - np.float32(0.50 * body.half_width + 0.01)) / np.float32(
            1.3 * radius
        )
        dv = canvas.v - np.float32(body.domes[0] - 0.035 + float(rng.normal(0, 0.014)))
        # The lower edge is round and sharp; the upper part fades into the chest wall.
        dv = np.where(dv > 0, dv / radius, dv / (2.2 * radius))
        bulge = np.clip(1 - du**2 - dv**2, 0, 1) ** 0.75
        total += np.float32(body.breasts) * bulge.astype(np.float32)
    return total


def _organs(body: Body, canvas: Canvas) -> FloatField:
    """Return what the hila add to the trunk and what airways and gas remove, cm of water."""
    air, gas, hila = canvas.layer(), canvas.layer(), canvas.layer()
    _airways(body, air)
    _gas(body, gas)
    _hila(body, hila)
    windpipe = np.float32(3.4) * air.field(0.004) + np.float32(8.0) * gas.field(0.006)
    return np.asarray(np.float32(3.0) * hila.field(0.007) - windpipe, dtype=np.float32)


def _airways(body: Body, layer: Layer) -> None:
    top = body.apex
    u = -0.004 + 0.7 * body.turn + body.shift
    carina = (u - 0.002, top + 0.255)
    layer.stroke(line((u, -0.3), (u + 0.002, top), carina), 0.036, 0.85)
    layer.stroke(line(carina, (u - 0.035, top + 0.305), (u - 0.06, top + 0.35)), 0.026, 0.6)
    layer.stroke(line(carina, (u + 0.05, top + 0.30), (u + 0.085, top + 0.325)), 0.023, 0.6)


def _gas(body: Body, layer: Layer) -> None:
    rng = np.random.default_rng([body.seed, 5])
    dome = body.domes[1]
    if body.stomach:
        u, v = 0.13 + 0.05 * float(rng.random()), dome + 0.055
        width = body.stomach
        angle = np.linspace(math.pi, 2 * math.pi, 20)
        roof = np.stack([u + width * np.cos(angle), v + 0.02 + 0.5 * width * np.sin(angle)], axis=1)
        layer.polygon(roof, 0.75)
    # Bowel gas: clusters of small bubbles, mostly under the left flexure.
    for _ in range(int(rng.integers(0, 4))):
        u, v = float(rng.normal(0.1, 0.13)), dome + float(rng.uniform(0.12, 0.35))
        for du, dv, size in rng.normal(0, 1, (5, 3)).tolist():
            radii = (0.012 + 0.004 * abs(size), 0.009 + 0.003 * abs(size))
            layer.ellipse((u + 0.016 * du, v + 0.01 * dv), radii, 0.2)


def _hila(body: Body, layer: Layer) -> None:
    rng = np.random.default_rng([body.seed, 10])
    for side in (RIGHT, LEFT):
        u, v = hilum(body, side)
        # The arteries and veins of the root; some are seen end on.
        layer.ellipse((u, v - 0.005), (0.028, 0.038), 0.5)
        layer.ellipse((u + side * 0.014, v + 0.045), (0.013, 0.05), 0.6)
        for du, dv, size in rng.normal(0, 1, (7, 3)).tolist():
            center = (u + side * 0.012 + 0.014 * du, v + 0.03 * dv)
            swell = 0.002 * max(size, -3.0)  # a rare draw would make the radius negative
            layer.ellipse(center, (0.007 + swell, 0.008 + swell), 0.9)


def hilum(body: Body, side: int) -> tuple[float, float]:
    """Return the (u, v) where the vessels enter one lung; the left hilum lies higher."""
    lean = body.shift + 0.5 * body.turn
    return (
        side * (0.072 if side == RIGHT else 0.08) + lean,
        body.apex + 0.335 - 0.02 * (side == LEFT),
    )


def vessels(body: Body, canvas: Canvas) -> FloatField:
    """Return the pulmonary vessels, float32 [H, W] in cm of water, not clipped to the lungs."""
    coarse, fine = canvas.layer(), canvas.layer()
    rng = np.random.default_rng([body.seed, 6])
    branches = np.concatenate([_tree(body, side, rng) for side in (RIGHT, LEFT)])
    branches = branches[np.argsort(branches[:, 4], kind="stable")]
    for layer, chosen in ((coarse, branches[:, 4] > 0.005), (fine, branches[:, 4] <= 0.005)):
        width = branches[chosen, 4].astype(np.float32)
        layer.segments(branches[chosen, :4], width, np.minimum(0.05 + width / 0.012, 1))
    both = coarse.field(0.0020) + fine.field(0.0011)
    return np.asarray(_VESSEL_CM * both, dtype=np.float32)


def _tree(body: Body, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the vessel branches of one lung, float64 [N, 5]: both ends (u, v, u, v) and the width."""
    start = hilum(body, side)
    normal: list[float] = rng.standard_normal(6000).tolist()
    active = deque(
        (start[0], start[1] + 0.05 * math.sin(angle), angle + 0.08 * normal[i], width)
        for i, (angle, width) in enumerate(_FAN)
    )
    branches: list[tuple[float, float, float, float, float]] = []
    draw = 20
    while active and draw < len(normal) - 8:
        u, v, angle, w = active.popleft()
        step = 0.014 + 1.2 * w
        bend = angle + 0.16 * normal[draw]
        u2, v2 = u + side * step * math.cos(bend), v + step * math.sin(bend)
        branches.append((u, v, u2, v2, w))
        draw += 1
        if w < 0.0015 or not 0.0 < side * u2 < body.half_width:
            continue
        active.append((u2, v2, bend, w * 0.92))
        if normal[draw] > -0.15:
            fork = 0.55 + 0.2 * abs(normal[draw + 1])
            active.append((u2, v2, bend + math.copysign(fork, normal[draw + 2]), w * 0.62))
        draw += 3
    return np.asarray(branches)


def texture(body: Body, canvas: Canvas) -> FloatField:
    """Return the fine grain of the lungs, float32 [H, W], mean 0, about unit deviation."""
    rng = np.random.default_rng([body.seed, 7])
    grain = (
        0.5 * canvas.noise(rng, 50) + 0.6 * canvas.noise(rng, 120) + 0.5 * canvas.noise(rng, 260)
    )
    return np.asarray(grain, dtype=np.float32)
