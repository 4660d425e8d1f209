"""Measurements that show whether an image looks like an upright, frontal chest radiograph of a person.

There are five, in this order; `Plausibility.measured` has their values:

- *contrast*: the difference between the 1st and the 99th percentile of gray levels. Almost none: BLANK.
- *flat*: the share of the image where nearby mid-gray pixels are exactly equal, as in drawings only.
  Large: a test pattern, NOT_PLAUSIBLE.
- *upright*: how well the image, reduced to 16 x 16 cells of ranked brightness, agrees with a template of
  what distinguishes upright chest images from their negatives and rotations: dark lungs on either side
  of a bright middle, wider apart below; bright abdomen, dark beside the neck. The rotated image and the
  negative are measured, too; if one of those agrees best, the image is INVERTED or ROTATED. If none
  agrees, it is NOT_PLAUSIBLE.
- *symmetry* and *ridge*: how well the left half mirrors the right one, and how far the middle stands out
  between the darkest columns of each side. A lateral image has little of both: NOT_FRONTAL.

Left and right cannot be distinguished: a mirrored image passes. benchmarks/selection.py computed the
template from images that dicom.phantom draws; it also measures real images, with the figures in
docs/selection.md.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom.pixels.frame import Frame
from dicom.reasons import Reason

FloatPicture = NDArray[np.float32]
FloatField = NDArray[np.float64]

BLANK_CONTRAST: Final = 0.02
FLAT_PART: Final = 0.25
SMALLEST_SIDE: Final = 96
UPRIGHT: Final = 0.20
SYMMETRY: Final = 0.75
RIDGE: Final = 0.28

_WORK: Final = 256
_CELLS: Final = 16
_FINE: Final = 48
_EVEN: Final = 0.03
_MOST_TRIMMED: Final = 0.3
_BELL: Final = np.exp(-(np.arange(-3, 4) ** 2) / 2)
_SMOOTHING: Final = _BELL / _BELL.sum()

# The left half of the template, in ten-thousandths; the right half is its mirror image.
TEMPLATE_HALF: Final = (
    (-142, -90, -52, -41, -39, -33, -15, 2),
    (-83, -18, 15, 7, -16, -26, -8, 23),
    (-37, 22, 36, -1, -58, -84, -58, -9),
    (-20, 31, 22, -32, -101, -122, -62, 17),
    (-33, 13, -14, -72, -133, -133, -38, 79),
    (-55, -17, -50, -101, -145, -121, -6, 141),
    (-67, -33, -71, -119, -143, -96, 32, 180),
    (-67, -32, -77, -126, -128, -56, 77, 207),
    (-69, -30, -72, -115, -105, -23, 103, 209),
    (-69, -27, -59, -85, -70, 1, 106, 190),
    (-70, -19, -29, -37, -20, 34, 112, 178),
    (-61, 7, 19, 19, 32, 72, 133, 181),
    (-53, 34, 71, 81, 87, 114, 162, 198),
    (-72, 24, 93, 116, 122, 141, 178, 209),
    (-113, -31, 46, 81, 88, 93, 111, 128),
    (-146, -78, -4, 39, 59, 66, 76, 84),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plausibility:
    """The result of the measurements.

    Attributes:
        reason: Why the image is not to be read, or None.
        sentence: The reason as a sentence, or "".
        measured: The values by name; those after the one that decided are absent.
    """

    reason: Reason | None
    sentence: str
    measured: dict[str, float]


def judge(frame: Frame) -> Plausibility:
    """Return whether `frame` looks like an upright frontal chest image."""
    measured: dict[str, float] = {}
    reason, sentence = _judged(frame.pixels, measured)
    return Plausibility(
        reason=reason,
        sentence=sentence or (reason.sentence if reason else ""),
        measured={name: round(value, 4) for name, value in measured.items()},
    )


def _judged(pixels: FloatPicture, measured: dict[str, float]) -> tuple[Reason | None, str]:
    if min(pixels.shape) < SMALLEST_SIDE:
        return Reason.NOT_PLAUSIBLE, f"The image is too small: {min(pixels.shape)} pixels."
    small = _reduced(pixels)
    measured["contrast"] = float(np.subtract(*np.percentile(small, (99, 1))))
    if measured["contrast"] < BLANK_CONTRAST:
        return Reason.BLANK, ""
    measured["flat"] = flat_part(pixels)
    if measured["flat"] > FLAT_PART:
        return Reason.NOT_PLAUSIBLE, "The image looks drawn, like a test pattern."
    return _posed(_without_even_borders(small), measured)


def _posed(picture: FloatPicture, measured: dict[str, float]) -> tuple[Reason | None, str]:
    """Return why an image, neither blank nor drawn, is not an upright frontal chest, or (None, "")."""
    agreement = orientation_agreement(picture)
    measured["upright"] = float(agreement[0, 0])
    if agreement.max() < UPRIGHT:
        return Reason.NOT_PLAUSIBLE, ""
    turns, negative = np.unravel_index(int(agreement.argmax()), agreement.shape)
    if turns or negative:
        return _turned(int(turns), negative=bool(negative))
    fine = ranked(picture, _FINE)
    measured["symmetry"], measured["ridge"] = symmetry(fine), ridge(fine)
    if measured["symmetry"] < SYMMETRY and measured["ridge"] < RIDGE:
        return (
            Reason.NOT_FRONTAL,
            "The image looks like a lateral, not a frontal (PA or AP) view.",
        )
    return None, ""


def _turned(turns: int, *, negative: bool) -> tuple[Reason, str]:
    if not turns:
        return Reason.INVERTED, ""
    degrees = {1: "90 degrees counterclockwise", 2: "180 degrees", 3: "90 degrees clockwise"}[
        4 - turns
    ]
    shown = ", and is shown as a negative" if negative else ""
    return Reason.ROTATED, f"The image is not upright: it is turned by {degrees}{shown}."


def orientation_agreement(picture: FloatPicture) -> FloatField:
    """Return float64 [4, 2]: agreement with the template after 0..3 quarter turns; plain, negative.

    Turns are counterclockwise. 0 is chance; an upright chest image has 0.3 to 0.7 at [0, 0].
    """
    cells = ranked(picture, _CELLS) - 0.5
    half = np.asarray(TEMPLATE_HALF, np.float64) / 1e4
    template = np.hstack((half, half[:, ::-1]))
    plain = np.asarray([np.sum(np.rot90(cells, turns) * template) for turns in range(4)])
    return np.stack((plain, -plain), axis=1)


def ranked(picture: FloatPicture, cells: int) -> FloatField:
    """Return float64 [cells, cells] in 0..1: the share of the image's cells that are darker.

    Ranks are the same for every window and gamma that does not invert the image.
    """
    small = np.asarray(Image.fromarray(picture).resize((cells, cells), Image.Resampling.BOX))
    return average_ranks(small) / cells**2


def average_ranks(values: NDArray[np.float32]) -> FloatField:
    """Return the rank of each value, from 1; equal values share their mean rank.

    The result is that of `scipy.stats.rankdata`, whose import would cost each process 0.3 s.
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatField = np.cumsum(counts) - (counts - 1) / 2
    return ranks[place].reshape(values.shape)


def symmetry(fine: FloatField) -> float:
    """Return the best correlation of the left side with the mirrored right side, over middle columns."""
    width = fine.shape[1]
    found = -1.0
    for column in range(round(0.38 * width), round(0.62 * width)):
        half = min(column, width - column)
        left = fine[:, column - half : column]
        right = fine[:, column : column + half][:, ::-1]
        left, right = left - left.mean(), right - right.mean()
        scale = np.sqrt(np.sum(left**2) * np.sum(right**2))
        found = max(found, float(np.sum(left * right) / scale) if scale else -1.0)
    return found


def ridge(fine: FloatField) -> float:
    """Return by how much a middle column exceeds the darkest columns of both sides, at the best place.

    Columns are averaged over the rows of the lungs, from 0.25 to 0.6 of the height.
    """
    rows, width = fine.shape
    profile = fine[round(0.25 * rows) : int(0.6 * rows)].mean(axis=0)
    profile = np.convolve(np.pad(profile, 3, mode="edge"), _SMOOTHING, mode="valid")
    reach = int(0.33 * width)
    return max(
        float(
            profile[c] - max(profile[max(0, c - reach) : c].min(), profile[c + 1 :][:reach].min())
        )
        for c in range(int(0.36 * width), int(0.64 * width))
    )


def flat_part(pixels: FloatPicture) -> float:
    """Return the share of pixels that equal those 4 to the right and below, neither black nor white.

    Every third row and column is sampled. Borders and saturated air are black or white, so they do not
    count.
    """
    at = pixels[:-4:3, :-4:3]
    equal = (at == pixels[4::3, :-4:3]) & (at == pixels[:-4:3, 4::3]) & (at == pixels[4::3, 4::3])
    return float(np.mean(equal & (at > 0.05) & (at < 0.95)))


def _reduced(pixels: FloatPicture) -> FloatPicture:
    """Return the image with blocks averaged, its shorter side at 256 to 511 pixels if it had more."""
    step = max(1, min(pixels.shape) // _WORK)
    rows, columns = pixels.shape[0] // step, pixels.shape[1] // step
    blocks = pixels[: rows * step, : columns * step].reshape(rows, step, columns, step)
    reduced: FloatPicture = blocks.mean(axis=(1, 3), dtype=np.float32)
    return reduced


def _without_even_borders(picture: FloatPicture) -> FloatPicture:
    """Return the image without the uniform rows and columns at its edges (collimators)."""
    top, bottom = _uneven(picture)
    left, right = _uneven(picture.T)
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _uneven(picture: FloatPicture) -> tuple[int, int]:
    """Return the first nonuniform row and the one after the last; trim at most 30 % at each end."""
    low, high = np.percentile(picture, (10, 90), axis=1)
    shown = np.flatnonzero(high - low >= _EVEN)
    length = len(picture)
    if not len(shown):
        return 0, length
    most = int(_MOST_TRIMMED * length)
    return min(int(shown[0]), most), max(int(shown[-1]) + 1, length - most)
