"""`draw`: a synthetic frontal chest radiograph with the requested findings and their ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicom.content.report import Observation, Side
from dicom.phantom import detector
from dicom.phantom.body import LEFT, RIGHT, Body, View, made_up
from dicom.phantom.bones import skeleton
from dicom.phantom.canvas import BoolField, Canvas, FloatField, resized
from dicom.phantom.chest import Chest, PhantomFinding
from dicom.phantom.disease import draw_findings, with_anatomy_of
from dicom.phantom.lungs import lung, soft_tissue, texture, vessels

_SMALLEST: Final = 64
_LARGEST: Final = 8192
# Anatomy is drawn with a shorter side in this range and then resized: finer adds no detail.
_WORK: Final = (256, 1024)
_LUNG_AIR: Final = 0.72  # fraction of a lung's path that is air


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The ground truth of one finding.

    Attributes:
        side: The patient's side; None for the heart.
        site: The site as text ("lower zone").
        mask: bool [H, W], True where the finding is.
    """

    observation: Observation
    side: Side | None
    site: str
    mask: BoolField


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A synthetic chest radiograph and its ground truth.

    Attributes:
        seed: The seed from which it was drawn.
        pixels: uint16 [H, W], 0 black to 2**bits_stored - 1 white (bone).
        truths: One for each requested finding, in that order.
        view: "PA", "AP" or "LL" (left lateral).
        cardiothoracic_ratio: Greatest width of the heart over that of the thorax, measured on the
            drawn outlines; 0 for a lateral view.
        pixel_spacing: mm on the detector between pixel centers.
    """

    seed: int
    pixels: NDArray[np.uint16]
    bits_stored: int
    truths: tuple[Truth, ...]
    view: Literal["PA", "AP", "LL"]
    sex: Literal["F", "M"]
    age: int
    cardiothoracic_ratio: float
    pixel_spacing: float


def draw(
    seed: int,
    *,
    rows: int = 1024,
    columns: int = 1024,
    bits_stored: int = 12,
    findings: Sequence[PhantomFinding] = (),
    view: View = "PA",
) -> Phantom:
    """Draw a frontal radiograph; the same arguments give the same pixels.

    A seed gives the same person and exposure with and without findings, so that the difference of two
    images is the finding.

    Args:
        seed: 0 or greater; determines person, position, exposure and grain.
        rows: 64..8192.
        columns: 64..8192.
        bits_stored: 8..16.
        findings: Any number of the six findings.
        view: "PA" upright or "AP" supine.

    Raises:
        ValueError: An argument is outside its range.
    """
    check_size(rows, columns, bits_stored)
    body = with_anatomy_of(made_up(seed, view), findings)
    canvas = work_canvas(rows, columns, body)
    chest = _chest(body, canvas)
    truths = draw_findings(chest, findings)
    measured = detector.exposed(_water(chest), body)
    brightness = finish(measured, body, rows, columns)
    return Phantom(
        seed=seed,
        pixels=detector.stored(brightness, bits_stored),
        bits_stored=bits_stored,
        truths=tuple(
            Truth(observation=o, side=side, site=site, mask=_enlarged(mask, rows, columns))
            for o, side, site, mask in truths
        ),
        view=view,
        sex=body.sex,
        age=body.age,
        cardiothoracic_ratio=_ratio(body, canvas),
        pixel_spacing=round(400 / min(rows, columns), 6),
    )


def check_size(rows: int, columns: int, bits_stored: int) -> None:
    """Raise ValueError unless an image of this size and depth can be drawn."""
    if not (_SMALLEST <= rows <= _LARGEST and _SMALLEST <= columns <= _LARGEST):
        raise ValueError(f"a phantom has {_SMALLEST} to {_LARGEST} rows and columns")
    if not 8 <= bits_stored <= 16:
        raise ValueError("a phantom has 8 to 16 bits stored")


def work_canvas(rows: int, columns: int, body: Body) -> Canvas:
    """Return the canvas on which the anatomy of a `rows` x `columns` image is drawn."""
    shorter = min(rows, columns)
    factor = min(max(shorter, _WORK[0]), _WORK[1]) / shorter
    return Canvas.over(round(rows * factor), round(columns * factor), body.placement)


def finish(measured: FloatField, body: Body, rows: int, columns: int) -> FloatField:
    """Return the image at its final size, brightness 0..1, with grain, marker and dark border."""
    measured = resized(measured, rows, columns)
    canvas = Canvas.over(rows, columns, body.placement)
    brightness = detector.developed(measured, body)
    brightness += detector.grain((rows, columns), measured, body)
    if body.marker:
        np.maximum(brightness, 0.96 * detector.marker(canvas), out=brightness)
    hidden = detector.collimated(body, canvas)
    if hidden is not None:
        brightness[hidden] = 0.0
    return brightness


def _chest(body: Body, canvas: Canvas) -> Chest:
    right, left = lung(body, canvas, RIGHT), lung(body, canvas, LEFT)
    none = np.zeros((canvas.rows, canvas.columns), np.float32)
    return Chest(
        body=body,
        canvas=canvas,
        lungs=(right, left),
        soft=soft_tissue(body, canvas),
        bone=skeleton(body, canvas),
        vessels=vessels(body, canvas),
        texture=texture(body, canvas),
        filled=none,
        free_air=none.copy(),
        added=none.copy(),
    )


def _water(chest: Chest) -> FloatField:
    """Return the cm of water in the beam's path, float32 [H, W]."""
    depth = chest.lungs[0].depth + chest.lungs[1].depth
    aerated = (1 - chest.filled) * depth
    inner = np.minimum(aerated * np.float32(0.12), 1) * (1 - chest.free_air)
    marks = (chest.vessels + np.float32(0.26) * chest.texture) * inner
    air = aerated * (np.float32(_LUNG_AIR) + np.float32(0.24) * chest.free_air)
    total = np.maximum(chest.soft, 0) - air + marks + chest.bone * (chest.soft > 0.5) + chest.added
    return np.asarray(np.maximum(total, 0), dtype=np.float32)


def _ratio(body: Body, canvas: Canvas) -> float:
    v = canvas.v[(canvas.v[:, 0] < body.domes[0] + 0.05)]
    widths = [float(body.heart_edge(side, v).max()) for side in (RIGHT, LEFT)]
    return round(sum(widths) / float(2 * body.wall(v).max()), 4)


def _enlarged(mask: BoolField, rows: int, columns: int) -> BoolField:
    if mask.shape == (rows, columns):
        return mask
    return np.asarray(resized(mask.astype(np.float32), rows, columns) > 0.5)
