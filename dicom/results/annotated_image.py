"""The annotated image: the image that was read, with the findings drawn on and beside it.

+--------------------------------------+
|  AI DRAFT - UNVERIFIED               |  large enough to be read in a thumbnail of 200 pixels
|  NOT FOR PRIMARY DIAGNOSIS           |
+------------------------+-------------+
|                        | findings    |
|         image          | states      |  the image keeps its aspect ratio; only outlines, crosses
|                        | notes       |  and short labels cover it
+------------------------+-------------+
| model, version, time                 |
+--------------------------------------+
"""

from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicom.content import phrases
from dicom.content.regions import Points, shows_one_side, with_polygons
from dicom.content.report import DraftReport, Finding
from dicom.content.result_header import Equipment
from dicom.drawing.text_layout import font
from dicom.results.annotated_image_layout import (
    BACKGROUND,
    STATE_COLORS,
    Color,
    Layout,
    draw_banner,
    draw_footer,
    draw_panel,
)

# Outlines are drawn this many times larger and scaled down, which smooths slanted edges.
_SMOOTHING: Final = 3


def overlay_image(
    draft: DraftReport,
    pixels: NDArray[np.float32],
    equipment: Equipment,
    moment: datetime,
    *,
    long_edge: int = 1280,
) -> Image.Image:
    """Return the image with regions, findings and warning as an RGB image.

    Args:
        draft: The findings and notes that are drawn.
        pixels: float32 [rows, columns] 0..1, as displayed (0 black).
        equipment: This installation, named in the footer.
        moment: Time of the draft, in the time zone of the image.
        long_edge: Width of the canvas in pixels; its height is at most its width.

    Raises:
        InvalidOutput: A region has a coordinate that is not a number.
    """
    rows, columns = pixels.shape
    layout = Layout.of(rows, columns, long_edge)
    canvas = Image.new("RGB", (layout.width, layout.height), BACKGROUND)
    left, top, width, height = layout.image
    canvas.paste(_gray_image(pixels, width, height), (left, top))
    placed = with_polygons(draft.findings, draft.source)
    _draw_regions(canvas, layout, placed, (rows, columns))
    draw = ImageDraw.Draw(canvas)
    draw_banner(draw, layout)
    draw_panel(draw, layout, draft)
    draw_footer(draw, layout, draft, equipment, moment)
    return canvas


def _gray_image(pixels: NDArray[np.float32], width: int, height: int) -> Image.Image:
    # fmax and fmin replace NaN by the bound, so that the cast to uint8 is always defined.
    gray = np.fmin(np.fmax(pixels, 0.0), 1.0)
    gray *= 255
    gray += 0.5
    image = Image.fromarray(gray.astype(np.uint8))
    return image.resize((width, height), Image.Resampling.BICUBIC).convert("RGB")


def _draw_regions(
    canvas: Image.Image,
    layout: Layout,
    polygons: list[tuple[Finding, Points]],
    source: tuple[int, int],
) -> None:
    """Draw outlines, a cross at each peak, and labels; `source` is (rows, columns) of the image."""
    placed = [(finding, layout.on_canvas(p, *source)) for finding, p in polygons]
    for finding, points in placed:
        _draw_outline(canvas, layout, points, STATE_COLORS[finding.presence])
    draw = ImageDraw.Draw(canvas)
    for finding, _ in placed:
        peak = finding.region.peak if finding.region else None
        if peak is not None:
            _draw_cross(draw, layout, layout.on_canvas((peak,), *source)[0], finding)
    taken: list[tuple[int, int, int, int]] = []
    for finding, points in placed:
        text = phrases.outline_label(finding, one_side=shows_one_side(finding, source[1]))
        taken.append(_draw_label(draw, layout, (finding, text), points, taken))


def _draw_outline(canvas: Image.Image, layout: Layout, points: Points, color: Color) -> None:
    stroke = max(2, layout.width // 430)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, top = int(min(xs)) - 2 * stroke, int(min(ys)) - 2 * stroke
    size = (int(max(xs)) + 2 * stroke - left, int(max(ys)) + 2 * stroke - top)
    # Horizontal and vertical edges, which most regions have, need no smoothing.
    upright = all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))
    scale = 1 if upright else _SMOOTHING
    mask = Image.new("L", (size[0] * scale, size[1] * scale))
    path = [((x - left) * scale, (y - top) * scale) for x, y in points]
    pen = ImageDraw.Draw(mask)
    # The dark rim keeps the outline visible on white bone and on black lung.
    for line, level in ((stroke + 2, 110), (stroke, 255)):
        pen.line(path, fill=level, width=line * scale, joint="curve")
    small = mask.reduce(scale)
    dark = small.point(lambda level: 150 if level else 0)
    canvas.paste(BACKGROUND, (left, top), dark)
    canvas.paste(color, (left, top), small.point(lambda level: max(0, (level - 120) * 2)))


def _draw_cross(
    draw: ImageDraw.ImageDraw, layout: Layout, center: tuple[float, float], finding: Finding
) -> None:
    """Draw a cross at the peak of a finding; its middle stays open so that the image shows there."""
    left, top, width, height = layout.image
    x, y = center
    if not (left <= x < left + width and top <= y < top + height):
        return
    unit = max(2, layout.width // 320)
    for color, line in ((BACKGROUND, unit + 2), (STATE_COLORS[finding.presence], unit)):
        for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            arm = [(x + n * across * unit, y + n * down * unit) for n in (2, 5)]
            draw.line(arm, fill=color, width=line)


def _draw_label(
    draw: ImageDraw.ImageDraw,
    layout: Layout,
    labelled: tuple[Finding, str],
    points: Points,
    taken: list[tuple[int, int, int, int]],
) -> tuple[int, int, int, int]:
    """Draw a finding's label beside its region, clear of `taken` where possible; return its box."""
    finding, text = labelled
    face = font(max(11, layout.width // 64), bold=True)
    pad = max(3, layout.width // 260)
    image_left, image_top, image_width, image_height = layout.image
    width, height = round(face.getlength(text)) + 2 * pad, round(face.size) + 2 * pad
    left = round(min(x for x, _ in points))
    left = max(image_left, min(left, image_left + image_width - width))
    top = round(min(y for _, y in points)) - height - pad
    if top < image_top:
        top = round(max(y for _, y in points)) + pad
    while any(_overlap((left, top, left + width, top + height), box) for box in taken):
        top += height + 1
    top = max(image_top, min(top, image_top + image_height - height))
    box = (left, top, left + width, top + height)
    draw.rounded_rectangle(box, radius=pad, fill=BACKGROUND)
    center = (left + pad, top + height / 2)
    face.draw(draw, center, text, STATE_COLORS[finding.presence], "lm")
    return box


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
