"""`draw_lateral`: the left lateral view of the same person, to test that it is not read."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.phantom import detector
from dicom.phantom.body import Body, curve, line, made_up
from dicom.phantom.canvas import Canvas, FloatField, edge
from dicom.phantom.radiograph import Phantom, check_size, finish, work_canvas

# Outlines of the chest in the lateral view, estimated by eye from textbook figures: v, then the
# distances from u = 0 of front (negative u) and back (positive u) of the body, and of the lungs.
_LEVELS: Final = (-0.1, 0.0, 0.08, 0.16, 0.28, 0.42, 0.56, 0.70, 0.85, 1.1)
_FRONT: Final = (0.06, 0.08, 0.14, 0.20, 0.26, 0.30, 0.315, 0.31, 0.30, 0.30)
_BACK: Final = (0.16, 0.19, 0.25, 0.30, 0.335, 0.345, 0.335, 0.31, 0.29, 0.30)
_LUNG_FRONT: Final = (-0.2, -0.1, 0.03, 0.12, 0.20, 0.245, 0.26, 0.255, 0.25, 0.2)
_LUNG_BACK: Final = (-0.2, -0.05, 0.13, 0.20, 0.25, 0.27, 0.265, 0.255, 0.25, 0.2)


def draw_lateral(
    seed: int, *, rows: int = 1024, columns: int = 1024, bits_stored: int = 12
) -> Phantom:
    """Draw a lateral view without findings; the same arguments give the same pixels.

    Args:
        seed: 0 or greater; the same person as in `draw` with view "PA".
        rows: 64..8192.
        columns: 64..8192.
        bits_stored: 8..16.

    Raises:
        ValueError: An argument is outside its range.
    """
    check_size(rows, columns, bits_stored)
    body = made_up(seed, "PA")
    canvas = work_canvas(rows, columns, body)
    water = _trunk(canvas) - _lungs(body, canvas) + _bones(body, canvas) + _arms(canvas)
    measured = detector.exposed(np.maximum(water, 0).astype(np.float32), body)
    brightness = finish((measured * np.float32(0.85)).astype(np.float32), body, rows, columns)
    return Phantom(
        seed=seed,
        pixels=detector.stored(brightness, bits_stored),
        bits_stored=bits_stored,
        truths=(),
        view="LL",
        sex=body.sex,
        age=body.age,
        cardiothoracic_ratio=0.0,
        pixel_spacing=round(400 / min(rows, columns), 6),
    )


def _along(values: tuple[float, ...], v: FloatField) -> FloatField:
    return np.asarray(curve(_LEVELS, values)(np.clip(v, -0.1, 1.1)), dtype=np.float32)


def _trunk(canvas: Canvas) -> FloatField:
    front, back = _along(_FRONT, canvas.v), _along(_BACK, canvas.v)
    middle, half = (back - front) / 2, (back + front) / 2
    across = np.abs(canvas.u - middle) / half
    deep = curve((-0.1, 0.05, 0.2, 0.5, 1.1), (11.0, 22.0, 29.0, 31.0, 31.0))
    return np.asarray(
        deep(np.clip(canvas.v, -0.1, 1.1)) * np.sqrt(np.clip(1 - across**2.6, 0, 1)), np.float32
    )


def _lungs(body: Body, canvas: Canvas) -> FloatField:
    """Return the air in the beam's path in cm of water: both lungs minus heart and diaphragm."""
    u, v = canvas.u, canvas.v
    front, back = _along(_LUNG_FRONT, v), _along(_LUNG_BACK, v)
    inside = edge(u + front, 0.004) * edge(back - u, 0.004)
    across = np.abs(u - (back - front) / 2) / np.maximum((front + back) / 2, 0.02)
    deep = 24 * np.sqrt(np.clip(1 - across**3, 0, 1)) * edge(v - np.float32(body.apex - 0.05), 0.2)
    column = u[canvas.rows // 2][None, :]
    top = body.domes[0] - 0.02
    dome = (
        np.float32(top)
        + 0.9 * np.clip(column + 0.06, 0, None) ** 1.5
        + 0.7 * np.clip(-column - 0.06, 0, None) ** 1.7
    )
    above = 0.5 * edge(dome - v, 0.004) + 0.5 * edge(dome + 0.02 - v, 0.004)
    heart = edge(1 - np.hypot((u + 0.13) / 0.14, (v - top + 0.06) / 0.17), 0.08)
    vessels = edge(1 - np.hypot((u - 0.0) / 0.07, (v - body.apex - 0.33) / 0.07), 0.7)
    arch = edge(1 - np.hypot((u - 0.03) / 0.09, (v - body.apex - 0.22) / 0.08), 0.3)
    open_part = 1 - np.clip(0.62 * heart + 0.25 * vessels + 0.2 * arch, 0, 0.8)
    grain = 1 + np.float32(0.03) * canvas.noise(np.random.default_rng([body.seed, 30]), 50)
    air = np.float32(0.74) * inside * deep * above * open_part * grain
    windpipe = canvas.layer()
    windpipe.stroke(line((-0.03, -0.2), (0.0, 0.1), (0.025, body.apex + 0.26)), 0.035, 1.0)
    return np.asarray(air + 3.5 * windpipe.field(0.004), dtype=np.float32)


def _bones(body: Body, canvas: Canvas) -> FloatField:
    spine, ribs = canvas.layer(), canvas.layer()
    rng = np.random.default_rng([body.seed, 31])
    for number in range(20):
        v = -0.15 + 0.058 * number * (1 + 0.008 * number)
        u = 0.215 + 0.05 * np.sin((v - 0.1) * 3.2)
        half = 0.032 + 0.0007 * number
        spine.polygon(
            [(u - half, v), (u + half, v), (u + half, v + 0.047), (u - half, v + 0.047)], 0.4
        )
        spine.stroke([(u - half, v), (u + half, v)], 0.004, 0.7)
        spine.stroke([(u - half, v + 0.047), (u + half, v + 0.047)], 0.004, 0.7)
        spine.stroke([(u + half, v + 0.02), (u + 0.09, v + 0.05)], 0.013, 0.35)
    for number in range(9):
        for shift in (0.0, 0.012 + 0.004 * float(rng.normal())):
            v = body.apex + 0.03 + 0.062 * number + shift
            ribs.stroke(_rib(v), 0.019, 0.5)
            ribs.stroke(_rib(v), 0.013, 0.35)
    front = line((-0.13, 0.17), (-0.22, 0.30), (-0.27, 0.45), (-0.275, 0.52))
    ribs.stroke(front, 0.028, 0.5)
    return np.asarray(6.5 * spine.field(0.002) + 2.6 * ribs.field(0.0012), dtype=np.float32)


def _rib(v: float) -> NDArray[np.float64]:
    return line((0.27, v), (0.20, v + 0.02), (0.0, v + 0.12), (-0.14, v + 0.2), (-0.2, v + 0.2))


def _arms(canvas: Canvas) -> FloatField:
    """Return the raised arms, in cm of water; their shadow lies over the top of the image."""
    layer = canvas.layer()
    layer.stroke(line((0.08, 0.16), (-0.12, 0.02), (-0.3, -0.12)), 0.16, 0.5)
    return np.asarray(12 * layer.field(0.02), dtype=np.float32)
