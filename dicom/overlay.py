"""The annotated film: the picture that a radiologist meets beside the original.

+--------------------------------------+
|  AI DRAFT - UNVERIFIED               |  large enough to be read in a thumbnail of 200 pixels
|  NOT FOR PRIMARY DIAGNOSIS           |
+------------------------+-------------+
|                        | findings    |
|         film           | states      |  the film keeps its aspect and nothing covers it but
|                        | notes       |  the outlines and their short labels
+------------------------+-------------+
| model, version, time                 |
+--------------------------------------+
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicom import wording
from dicom.regions import Points, located
from dicom.report import SIX, DraftReport, Finding, Observation, Presence
from dicom.result_header import BANNER, Equipment, model_words
from dicom.typeset import fit_size, font, shorten, wrap

Colour = tuple[int, int, int]

_BACKGROUND: Final[Colour] = (13, 15, 18)
_PANEL: Final[Colour] = (22, 25, 30)
_RULE: Final[Colour] = (52, 58, 66)
_TEXT: Final[Colour] = (232, 235, 239)
_QUIET: Final[Colour] = (150, 158, 168)
_WARNING: Final[Colour] = (255, 193, 7)
# Dark: a bright field of this size would blind eyes that are adapted to a reading room.
_UNDER_WARNING: Final[Colour] = (46, 33, 0)
# Told apart in brightness too, for readers who do not see the hues; words say the same.
_STATE_COLOURS: Final = {
    Presence.PRESENT: (255, 138, 76),
    Presence.UNCERTAIN: (255, 221, 120),
    Presence.ABSENT: (122, 170, 150),
    Presence.NOT_MENTIONED: (110, 117, 126),
}
_MARKS: Final = {
    Presence.PRESENT: "●",
    Presence.UNCERTAIN: "◐",
    Presence.ABSENT: "○",
    Presence.NOT_MENTIONED: "–",
}
# Outlines are drawn this much larger and scaled down, which smooths slanted edges.
_SMOOTHING: Final = 3
_MOST_NOTES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything lies on the canvas, in pixels; all sizes follow the canvas' width.

    Attributes:
        film: Left, top, width, height of the film.
    """

    width: int
    height: int
    banner: int
    footer: int
    panel: int
    film: tuple[int, int, int, int]

    @classmethod
    def of(cls, rows: int, columns: int, long_edge: int) -> Self:
        """Return the layout for a film of `rows` x `columns` on a canvas at most `long_edge` wide."""
        banner, footer = round(long_edge * 0.132), round(long_edge * 0.030)
        panel = round(long_edge * 0.285)
        room = (long_edge - panel, long_edge - banner - footer)
        scale = min(room[0] / columns, room[1] / rows)
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        # A very wide film leaves the panel the height that its text needs.
        body = max(size[1], round(long_edge * 0.55))
        left, top = (room[0] - size[0]) // 2, banner + (body - size[1]) // 2
        return cls(
            width=long_edge,
            height=banner + body + footer,
            banner=banner,
            footer=footer,
            panel=panel,
            film=(left, top, *size),
        )

    def on_canvas(self, points: Points, rows: int, columns: int) -> Points:
        """Return points of the source matrix where they lie on the canvas, sub-pixel."""
        left, top, width, height = self.film
        return tuple((left + x * width / columns, top + y * height / rows) for x, y in points)


def overlay_image(
    draft: DraftReport,
    pixels: NDArray[np.float32],
    equipment: Equipment,
    moment: datetime,
    long_edge: int = 1280,
) -> Image.Image:
    """Return the film with regions, findings and warning as an RGB image.

    Args:
        draft: The findings and notes that are drawn.
        pixels: float32 [rows, columns] 0..1, as it is to be shown (0 black).
        equipment: This installation, named in the footer.
        moment: When the draft was made, in the clock of the film.
        long_edge: Width of the canvas in pixels; it is never higher than wide.

    Raises:
        InvalidOutput: A region has a coordinate that is not a number.
    """
    rows, columns = pixels.shape
    layout = Layout.of(rows, columns, long_edge)
    canvas = Image.new("RGB", (layout.width, layout.height), _BACKGROUND)
    left, top, width, height = layout.film
    canvas.paste(_film(pixels, width, height), (left, top))
    placed = located(draft.findings, draft.source)
    _draw_regions(canvas, layout, [(f, layout.on_canvas(p, rows, columns)) for f, p in placed])
    draw = ImageDraw.Draw(canvas)
    _draw_banner(draw, layout)
    _draw_panel(draw, layout, draft)
    _draw_footer(draw, layout, draft, equipment, moment)
    return canvas


def listed(draft: DraftReport) -> list[Finding]:
    """Return the draft's findings and, as not mentioned, those of the six that it leaves out."""
    spoken = {finding.observation for finding in draft.findings}
    silent = [
        Finding(observation=observation, presence=Presence.NOT_MENTIONED)
        for observation in SIX
        if observation not in spoken
    ]
    order = list(Presence)
    found = [f for f in draft.findings if f.observation is not Observation.NO_FINDING]
    return sorted([*found, *silent], key=lambda finding: _rank(finding, order))


def _rank(finding: Finding, order: list[Presence]) -> int:
    """Return what stands first: present, uncertain, absent, not mentioned."""
    first = (Presence.PRESENT, Presence.UNCERTAIN)
    if finding.presence in first:
        return first.index(finding.presence)
    return 2 + order.index(finding.presence)


def _film(pixels: NDArray[np.float32], width: int, height: int) -> Image.Image:
    # fmax and fmin take the number where the other side is none, so that nothing is left undefined.
    grey = np.fmin(np.fmax(pixels, 0.0), 1.0)
    grey *= 255
    grey += 0.5
    image = Image.fromarray(grey.astype(np.uint8))
    return image.resize((width, height), Image.Resampling.BICUBIC).convert("RGB")


def _draw_regions(
    canvas: Image.Image, layout: Layout, placed: list[tuple[Finding, Points]]
) -> None:
    for finding, points in placed:
        _draw_outline(canvas, layout, points, _STATE_COLOURS[finding.presence])
    draw = ImageDraw.Draw(canvas)
    taken: list[tuple[int, int, int, int]] = []
    for finding, points in placed:
        taken.append(_draw_label(draw, layout, finding, points, taken))


def _draw_outline(canvas: Image.Image, layout: Layout, points: Points, colour: Colour) -> None:
    stroke = max(2, layout.width // 430)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, top = int(min(xs)) - 2 * stroke, int(min(ys)) - 2 * stroke
    size = (int(max(xs)) + 2 * stroke - left, int(max(ys)) + 2 * stroke - top)
    # Upright edges, which most regions have, need no smoothing.
    upright = all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))
    scale = 1 if upright else _SMOOTHING
    mask = Image.new("L", (size[0] * scale, size[1] * scale))
    path = [((x - left) * scale, (y - top) * scale) for x, y in points]
    pen = ImageDraw.Draw(mask)
    # The dark rim keeps the outline visible on white bone and black lung alike.
    for line, level in ((stroke + 2, 110), (stroke, 255)):
        pen.line(path, fill=level, width=line * scale, joint="curve")
    small = mask.reduce(scale)
    dark = small.point(lambda level: 150 if level else 0)
    canvas.paste(_BACKGROUND, (left, top), dark)
    canvas.paste(colour, (left, top), small.point(lambda level: max(0, (level - 120) * 2)))


def _draw_label(
    draw: ImageDraw.ImageDraw,
    layout: Layout,
    finding: Finding,
    points: Points,
    taken: list[tuple[int, int, int, int]],
) -> tuple[int, int, int, int]:
    """Draw name and score beside the region, where no other label lies; return the label's box."""
    face = font(max(11, layout.width // 64), bold=True)
    doubt = "?" if finding.presence is Presence.UNCERTAIN else ""
    words = f"{wording.label(finding)}{doubt} {wording.certainty(finding)}".rstrip()
    pad = max(3, layout.width // 260)
    film_left, film_top, film_width, film_height = layout.film
    width, height = round(face.getlength(words)) + 2 * pad, round(face.size) + 2 * pad
    left = round(min(x for x, _ in points))
    left = max(film_left, min(left, film_left + film_width - width))
    top = round(min(y for _, y in points)) - height - pad
    if top < film_top:
        top = round(max(y for _, y in points)) + pad
    while any(_overlap((left, top, left + width, top + height), box) for box in taken):
        top += height + 1
    top = max(film_top, min(top, film_top + film_height - height))
    box = (left, top, left + width, top + height)
    draw.rounded_rectangle(box, radius=pad, fill=_BACKGROUND)
    centre = (left + pad, top + height / 2)
    draw.text(centre, words, font=face, fill=_STATE_COLOURS[finding.presence], anchor="lm")
    return box


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_banner(draw: ImageDraw.ImageDraw, layout: Layout) -> None:
    draw.rectangle((0, 0, layout.width - 1, layout.banner - 1), fill=_UNDER_WARNING)
    rule = max(2, layout.width // 320)
    draw.rectangle((0, layout.banner - rule, layout.width - 1, layout.banner - 1), fill=_WARNING)
    size = fit_size(BANNER, round(layout.width * 0.94), round(layout.banner * 0.46), bold=True)
    face = font(size, bold=True)
    for line, height in zip(BANNER, (0.27, 0.71), strict=True):
        centre = (layout.width / 2, layout.banner * height)
        draw.text(centre, line, font=face, fill=_WARNING, anchor="mm")


def _draw_panel(draw: ImageDraw.ImageDraw, layout: Layout, draft: DraftReport) -> None:
    left, bottom = layout.width - layout.panel, layout.height - layout.footer
    draw.rectangle((left, layout.banner, layout.width, bottom), fill=_PANEL)
    pen = _Column(draw, layout, left + layout.width // 64, bottom)
    if draft.model.caveat:
        pen.paragraph(wording.caveat(draft), _WARNING, bold=True)
        pen.gap()
    pen.heading("Findings (AI)")
    for finding in listed(draft):
        pen.finding(finding)
    remarks = wording.remarks(draft)[:_MOST_NOTES]
    if remarks:
        pen.gap()
        pen.heading("Notes")
        for remark in remarks:
            pen.paragraph(remark.removeprefix("Note: "), _TEXT)
    pen.gap()
    pen.heading("Draft text (AI)")
    for sentence in draft.impression_text or draft.findings_text or (wording.NO_FINDINGS_TEXT,):
        pen.paragraph(sentence, _TEXT)
    pen.finish()


class _Column:
    """Writes down the panel until it is full."""

    def __init__(self, draw: ImageDraw.ImageDraw, layout: Layout, left: int, bottom: int) -> None:
        self._draw = draw
        self._unit = max(11, layout.width // 72)
        self._left = left
        self._width = layout.width - left - layout.width // 64
        self._y = layout.banner + self._unit
        # The last line is kept for saying that there was more.
        self._bottom = bottom - 2 * self._unit
        self._full = False

    def gap(self) -> None:
        self._y += self._unit

    def heading(self, words: str) -> None:
        # A heading stands with two lines below it or not at all.
        self._full = self._full or self._y + 4 * self._unit > self._bottom
        self._line(words.upper(), round(self._unit * 0.85), _QUIET, bold=True)
        if self._full:
            return
        y = self._y - self._unit // 4
        self._draw.line((self._left, y, self._left + self._width, y), fill=_RULE)
        self._y += self._unit // 3

    def paragraph(self, words: str, colour: Colour, *, bold: bool = False) -> None:
        size = round(self._unit * 0.92)
        lines = wrap(words, font(size, bold=bold), self._width)
        for line in lines:
            self._line(line, size, colour, bold=bold)
        self._y += self._unit // 3

    def finding(self, finding: Finding) -> None:
        colour = _STATE_COLOURS[finding.presence]
        positive = wording.is_positive(finding)
        indent = round(self._unit * 1.4)
        mark = _MARKS[finding.presence]
        self._text(mark, self._left, self._unit, colour, bold=True)
        name_colour = _TEXT if positive else _QUIET
        self._line(wording.label(finding), self._unit, name_colour, bold=positive, indent=indent)
        score = f"score {wording.certainty(finding)}" if finding.score is not None else ""
        detail = (wording.state(finding), wording.place(finding), score)
        words = " · ".join(part for part in detail if part)
        self._line(words, round(self._unit * 0.88), colour, indent=indent)
        self._y += self._unit // 3

    def finish(self) -> None:
        """Say that there was more, when there was."""
        if self._full:
            y = self._bottom + self._unit // 2
            face = font(round(self._unit * 0.85), bold=True)
            self._draw.text((self._left, y), "… more on the report page", font=face, fill=_QUIET)

    def _line(
        self, words: str, size: int, colour: Colour, *, bold: bool = False, indent: int = 0
    ) -> None:
        self._full = self._full or self._y + size > self._bottom
        if self._full:
            return
        line = shorten(words, font(size, bold=bold), self._width - indent)
        self._text(line, self._left + indent, size, colour, bold=bold)
        self._y += round(size * 1.4)

    def _text(self, words: str, x: int, size: int, colour: Colour, *, bold: bool) -> None:
        if not self._full and self._y + size <= self._bottom:
            self._draw.text((x, self._y), words, font=font(size, bold=bold), fill=colour)


def _draw_footer(
    draw: ImageDraw.ImageDraw,
    layout: Layout,
    draft: DraftReport,
    equipment: Equipment,
    moment: datetime,
) -> None:
    words = (
        f"{model_words(draft)}  ·  {equipment.words}  ·  {moment:%Y-%m-%d %H:%M:%S}  ·  "
        f"revision {draft.revision}  ·  resampled, not for measurement"
    )
    margin = layout.width // 64
    room = layout.width - 2 * margin
    face = font(max(10, fit_size((words,), room, layout.footer // 2)))
    line = shorten(words, face, room)
    y = layout.height - layout.footer / 2
    draw.text((margin, y), line, font=face, fill=_QUIET, anchor="lm")
