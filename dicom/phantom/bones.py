"""The projected skeleton: ribs, spine, clavicles, scapulae, humeri."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.phantom.body import LEFT, RIGHT, Body, line
from dicom.phantom.canvas import Canvas, FloatField, Layer, Points

# cm of water that the value 1 of a layer stands for.
_RIB_CM: Final = 2.6
_GIRDLE_CM: Final = 4.6
_SPINE_CM: Final = 4.2
_SIDES: Final = (RIGHT, LEFT)

_Placer = Callable[[Points], NDArray[np.float64]]


def skeleton(body: Body, canvas: Canvas) -> FloatField:
    """Return what bone adds to soft tissue in the beam's path, float32 [H, W] in cm of water."""
    rng = np.random.default_rng([body.seed, 2])
    back, front, girdle, spine = (canvas.layer() for _ in range(4))
    for side in _SIDES:
        _ribs(body, side, rng.normal(0, 1, (12, 2)), back, front)
        _shoulder(body, side, rng, girdle)
    _vertebrae(body, rng, spine)
    ribs = back.field(0.0009) + np.float32(0.72) * front.field(0.0014)
    bone = _RIB_CM * ribs + _GIRDLE_CM * girdle.field(0.0012) + _SPINE_CM * spine.field(0.003)
    return np.asarray(bone, dtype=np.float32)


def rib(body: Body, side: int, number: int, wobble: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the center line of a rib from the spine to its cartilage, float64 [N, 2], body units.

    A rib lies in a plane that is tilted forwards and down. Its projection is a half ellipse, whose upper
    half is the posterior and whose lower half is the anterior part.
    """
    spacing = (body.domes[0] - body.apex) / 8.9
    start = body.apex + spacing * (number - 1.25) + 0.002 * wobble[0]
    drop = 0.115 + 0.0145 * min(number, 9) + 0.004 * wobble[1]
    level = np.asarray([start + drop * 0.42], dtype=np.float32)
    reach = float(body.wall(level)[0]) + 0.006
    ending = (0.93, 0.9, 0.87, 0.84, 0.80, 0.76, 0.71, 0.66, 0.6, 0.54, 0.42, 0.34)[number - 1]
    angle = np.linspace(0.02, ending, 34) * np.pi
    across = np.sin(angle) ** 0.8
    u = np.maximum(reach * across, 0.028) + 0.4 * body.turn * side * np.cos(angle)
    v = (
        start
        + drop * (1 - np.cos(angle)) / 2
        - 0.012 * np.exp(-(((across - 0.35) / 0.2) ** 2)) * (angle < np.pi / 2)
    )
    return np.stack([side * u, v], axis=1)


def _ribs(body: Body, side: int, wobble: NDArray[np.float64], back: Layer, front: Layer) -> None:
    for number in range(12, 0, -1):
        center = rib(body, side, number, wobble[number - 1])
        turn = int(np.argmax(np.abs(center[:, 0])))
        width = 0.0115 + 0.001 * (number < 3)
        lateral = np.abs(center[:, 0]) / np.abs(center[turn, 0])
        half = width * (1 - 0.38 * lateral**8)
        if number > 10:  # floating ribs end in a point
            half *= np.sqrt(np.linspace(1, 0, len(half)))
        _band(back, center[: turn + 2], half[: turn + 2], rim=0.42, core=0.25)
        if number > 10:
            continue
        _band(front, center[turn - 1 :], 1.15 * half[turn - 1 :], rim=0.40, core=0.25)


def _band(
    layer: Layer, center: NDArray[np.float64], half: NDArray[np.float64], *, rim: float, core: float
) -> None:
    """Draw a bone along `center`: a bright cortical rim around a fainter core."""
    if len(center) < 3:
        return
    along = np.gradient(center, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    for fraction, value in ((1.0, rim), (0.72, core)):
        offset = normal * (half * fraction)[:, None]
        layer.polygon(np.concatenate([center + offset, (center - offset)[::-1]]), value)


def _shoulder(body: Body, side: int, rng: np.random.Generator, layer: Layer) -> None:
    wide = body.half_width / 0.375
    inward = -0.03 if body.view == "AP" else 0.012 * float(rng.normal())
    tilt = 0.015 * float(rng.normal())
    base = body.apex

    def place(points: Points) -> NDArray[np.float64]:
        shape = np.asarray(points, dtype=np.float64)
        u = shape[:, 0] * wide + inward * np.clip(shape[:, 0] / 0.3, 0, 1)
        v = base + shape[:, 1] + tilt * (shape[:, 0] - 0.05) / 0.3
        return np.stack([side * u, v], axis=1)

    _scapula(place, layer)
    _humerus(place, body, layer)
    center = place(
        line(
            (0.032, 0.088),
            (0.06, 0.082),
            (0.14, 0.052),
            (0.22, 0.022),
            (0.31, 0.004),
            (0.42, -0.004),
        )
    )
    center[:, 0] += body.turn
    along = np.linspace(0, 1, len(center))
    # Thick at the sternum, even in the middle, tapering at the shoulder.
    half = 0.009 + 0.0045 * (1 - along) ** 3 - 0.008 * np.clip(along - 0.8, 0, 1) * 5
    _band(layer, center, half, rim=0.27, core=0.17)


def _scapula(place: _Placer, layer: Layer) -> None:
    blade = place(
        np.concatenate(
            [
                line((0.335, 0.0), (0.362, 0.08), (0.385, 0.19), (0.405, 0.30)),
                line((0.405, 0.30), (0.421, 0.29), (0.425, 0.20), (0.428, 0.12), (0.432, 0.085)),
                line((0.432, 0.085), (0.44, 0.05), (0.40, 0.03), (0.335, 0.0)),
            ]
        )
    )
    layer.polygon(blade, 0.06)
    layer.stroke(np.vstack([blade, blade[:1]]), 0.0035, 0.11)
    layer.stroke(place(line((0.41, 0.295), (0.424, 0.2), (0.430, 0.1))), 0.008, 0.16)
    spine = place(line((0.345, 0.055), (0.39, 0.03), (0.43, -0.008), (0.475, -0.01)))
    _band(layer, spine, 0.013 * np.sin(np.linspace(0.25, 2.9, len(spine))), rim=0.18, core=0.13)
    layer.polygon(place([(0.40, 0.035), (0.425, 0.03), (0.445, 0.065), (0.432, 0.07)]), 0.3)


def _humerus(place: _Placer, body: Body, layer: Layer) -> None:
    away = body.arms
    shaft = place(
        line(
            (0.492, 0.085),
            (0.505 + 0.2 * away, 0.16),
            (0.53 + 1.2 * away, 0.45),
            (0.545 + 2 * away, 1.0),
        )
    )
    _band(layer, shaft, np.linspace(0.031, 0.022, len(shaft)), rim=0.36, core=0.2)
    (u, v) = place([(0.484, 0.066)])[0].tolist()
    layer.disc((u, v), 0.043, 0.34)
    layer.disc((u, v), 0.039, 0.26)
    glenoid = place(line((0.434, 0.04), (0.440, 0.065), (0.438, 0.095)))
    layer.stroke(glenoid, 0.006, 0.3)


def _vertebrae(body: Body, rng: np.random.Generator, layer: Layer) -> None:
    pitch = float(rng.uniform(0.052, 0.058))
    top = body.apex - 0.2
    for number in range(19):
        height = pitch * (0.85 + 0.018 * number)
        v = top + pitch * number * (1 + 0.012 * number)
        half = 0.033 + 0.0012 * max(number - 4, 0)
        u = -0.5 * body.turn + 0.0015 * float(rng.normal())
        _vertebra(layer, (u, v), half, height)


def _vertebra(layer: Layer, at: tuple[float, float], half: float, height: float) -> None:
    u, v = at
    low = v + 0.84 * height
    waist = 0.9 * half
    middle = (v + low) / 2
    outline = [(-half, v), (half, v), (waist, middle), (half, low), (-half, low), (-waist, middle)]
    layer.polygon([(u + x, y) for x, y in outline], 0.18)
    layer.stroke([(u - half, v), (u + half, v)], 0.004, 0.25)
    layer.stroke([(u - half, low), (u + half, low)], 0.004, 0.25)
    for x in (-half, half):
        layer.stroke([(u + x, v), (u + 0.9 * x, middle), (u + x, low)], 0.003, 0.27)
        layer.stroke([(u + x, middle - 0.01), (u + 1.8 * x, middle - 0.016)], 0.011, 0.2)
        layer.ellipse((u + 0.66 * x, v + 0.3 * height), (0.007, 0.011), 0.42)
        layer.ellipse((u + 0.66 * x, v + 0.3 * height), (0.0045, 0.008), 0.26)
    layer.ellipse((u, v + 0.62 * height), (0.005, 0.013), 0.4)
