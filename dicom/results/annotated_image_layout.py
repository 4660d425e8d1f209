"""The layout of the annotated image: the warning above it, the findings beside it, a footer below."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from PIL import ImageDraw

from dicom.content import phrases
from dicom.content.regions import Points
from dicom.content.report import DraftReport, Finding, Presence
from dicom.content.result_header import BANNER, Equipment, model_text
from dicom.drawing.text_layout import fit_size, font, shorten, wrap

Color = tuple[int, int, int]

BACKGROUND: Final[Color] = (13, 15, 18)
_PANEL: Final[Color] = (22, 25, 30)
_RULE: Final[Color] = (52, 58, 66)
_TEXT: Final[Color] = (232, 235, 239)
_QUIET: Final[Color] = (150, 158, 168)
_WARNING: Final[Color] = (255, 193, 7)
# Dark: a bright area of this size would dazzle eyes that are adapted to a dark reading room.
_UNDER_WARNING: Final[Color] = (46, 33, 0)
# They differ in brightness too, for readers with color blindness; the text states the same.
STATE_COLORS: Final = {
    Presence.PRESENT: (255, 138, 76),
    Presence.UNCERTAIN: (255, 221, 120),
    Presence.ABSENT: (122, 170, 150),
    Presence.NOT_MENTIONED: (110, 117, 126),
    Presence.NOT_CODED: (110, 117, 126),
}
_MARKS: Final = {
    Presence.PRESENT: "●",
    Presence.UNCERTAIN: "◐",
    Presence.ABSENT: "○",
    Presence.NOT_MENTIONED: "–",
    Presence.NOT_CODED: "–",
}
_MOST_NOTES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Positions and sizes on the canvas in pixels, all derived from the width of the canvas.

    Attributes:
        image: Left, top, width and height of the image.
    """

    width: int
    height: int
    banner: int
    footer: int
    panel: int
    image: tuple[int, int, int, int]

    @classmethod
    def of(cls, rows: int, columns: int, long_edge: int) -> Self:
        """Return the layout of an image of `rows` x `columns` on a canvas `long_edge` pixels wide."""
        banner, footer = round(long_edge * 0.132), round(long_edge * 0.030)
        panel = round(long_edge * 0.285)
        room = (long_edge - panel, long_edge - banner - footer)
        scale = min(room[0] / columns, room[1] / rows)
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        # Next to a very wide image the panel still needs this height for its text.
        body = max(size[1], round(long_edge * 0.55))
        left, top = (room[0] - size[0]) // 2, banner + (body - size[1]) // 2
        return cls(
            width=long_edge,
            height=banner + body + footer,
            banner=banner,
            footer=footer,
            panel=panel,
            image=(left, top, *size),
        )

    def on_canvas(self, points: Points, rows: int, columns: int) -> Points:
        """Return the canvas positions, sub-pixel, of (column, row) points of the source matrix."""
        left, top, width, height = self.image
        return tuple((left + x * width / columns, top + y * height / rows) for x, y in points)


def draw_banner(draw: ImageDraw.ImageDraw, layout: Layout) -> None:
    """Write the warning across the top of the canvas."""
    draw.rectangle((0, 0, layout.width - 1, layout.banner - 1), fill=_UNDER_WARNING)
    rule = max(2, layout.width // 320)
    draw.rectangle((0, layout.banner - rule, layout.width - 1, layout.banner - 1), fill=_WARNING)
    size = fit_size(BANNER, round(layout.width * 0.94), round(layout.banner * 0.46), bold=True)
    face = font(size, bold=True)
    for line, height in zip(BANNER, (0.27, 0.71), strict=True):
        center = (layout.width / 2, layout.banner * height)
        face.draw(draw, center, line, _WARNING, "mm")


def draw_panel(draw: ImageDraw.ImageDraw, layout: Layout, draft: DraftReport) -> None:
    """Write caveat, findings, notes and text of the draft to the right of the image."""
    left, bottom = layout.width - layout.panel, layout.height - layout.footer
    draw.rectangle((left, layout.banner, layout.width, bottom), fill=_PANEL)
    pen = _Column(draw, layout, left + layout.width // 64, bottom)
    if draft.model.caveat:
        pen.paragraph(phrases.caveat(draft), _WARNING, bold=True)
        pen.gap()
    findings = phrases.listed(draft)
    scored = any(finding.score is not None for finding in findings)
    pen.heading("Findings (AI), score not calibrated" if scored else "Findings (AI)")
    if not draft.is_coded:
        pen.paragraph(phrases.NOT_CODED, _TEXT, bold=True)
    silent = [each for each in findings if phrases.is_unscored_and_not_mentioned(each)]
    for finding in findings:
        if finding not in silent:
            pen.finding(finding)
    if silent:
        names = ", ".join(each.observation.value for each in silent)
        pen.paragraph(f"Not mentioned: {names}. {phrases.NOT_MENTIONED_NOTE}", _QUIET)
    remarks = phrases.remarks(draft)[:_MOST_NOTES]
    if remarks:
        pen.gap()
        pen.heading("Notes")
        for remark in remarks:
            pen.paragraph(remark.removeprefix("Note: "), _TEXT)
    pen.gap()
    pen.heading("Draft text (AI)")
    for sentence in _text_beside(draft):
        pen.paragraph(sentence, _TEXT)
    pen.finish()


def _text_beside(draft: DraftReport) -> tuple[str, ...]:
    """Return the impression, or the findings section without one; both where no finding is coded."""
    if not draft.is_coded:
        return (*draft.findings_text, *draft.impression_text) or (phrases.NO_FINDINGS_TEXT,)
    return draft.impression_text or draft.findings_text or (phrases.NO_FINDINGS_TEXT,)


class _Column:
    """Writes lines from the top of the panel downwards until the panel is full."""

    def __init__(self, draw: ImageDraw.ImageDraw, layout: Layout, left: int, bottom: int) -> None:
        self._draw = draw
        self._unit = max(11, layout.width // 72)
        self._left = left
        self._width = layout.width - left - layout.width // 64
        self._y = layout.banner + self._unit
        # The last line is reserved for the hint that text was left out.
        self._bottom = bottom - 2 * self._unit
        self._full = False

    def gap(self) -> None:
        self._y += self._unit

    def heading(self, text: str) -> None:
        # A heading is written only with room for two lines below it.
        self._full = self._full or self._y + 4 * self._unit > self._bottom
        self._line(text.upper(), round(self._unit * 0.85), _QUIET, bold=True)
        if self._full:
            return
        y = self._y - self._unit // 4
        self._draw.line((self._left, y, self._left + self._width, y), fill=_RULE)
        self._y += self._unit // 3

    def paragraph(self, text: str, color: Color, *, bold: bool = False) -> None:
        size = round(self._unit * 0.92)
        lines = wrap(text, font(size, bold=bold), self._width)
        for line in lines:
            self._line(line, size, color, bold=bold)
        self._y += self._unit // 3

    def finding(self, finding: Finding) -> None:
        color = STATE_COLORS[finding.presence]
        positive = phrases.is_positive(finding)
        indent = round(self._unit * 1.4)
        mark = _MARKS[finding.presence]
        self._text(mark, self._left, self._unit, color, bold=True)
        name_color = _TEXT if positive else _QUIET
        self._line(phrases.label(finding), self._unit, name_color, bold=positive, indent=indent)
        score = f"score {phrases.certainty(finding)}" if finding.score is not None else ""
        detail = (phrases.state(finding), phrases.place(finding), score)
        text = " · ".join(part for part in detail if part)
        self._line(text, round(self._unit * 0.88), color, indent=indent)
        self._y += self._unit // 3

    def finish(self) -> None:
        """Write a hint to the report page if text was left out."""
        if self._full:
            y = self._bottom + self._unit // 2
            face = font(round(self._unit * 0.85), bold=True)
            face.draw(self._draw, (self._left, y), "… more on the report page", _QUIET)

    def _line(
        self, text: str, size: int, color: Color, *, bold: bool = False, indent: int = 0
    ) -> None:
        self._full = self._full or self._y + size > self._bottom
        if self._full:
            return
        line = shorten(text, font(size, bold=bold), self._width - indent)
        self._text(line, self._left + indent, size, color, bold=bold)
        self._y += round(size * 1.4)

    def _text(self, text: str, x: int, size: int, color: Color, *, bold: bool) -> None:
        if not self._full and self._y + size <= self._bottom:
            font(size, bold=bold).draw(self._draw, (x, self._y), text, color)


def draw_footer(
    draw: ImageDraw.ImageDraw,
    layout: Layout,
    draft: DraftReport,
    equipment: Equipment,
    moment: datetime,
) -> None:
    """Write model, software, time and revision below the image."""
    text = (
        f"{model_text(draft)}  ·  {equipment.name_and_version}  ·  {moment:%Y-%m-%d %H:%M:%S}  ·  "
        f"revision {draft.revision}  ·  resampled, not for measurement"
    )
    margin = layout.width // 64
    room = layout.width - 2 * margin
    face = font(max(10, fit_size((text,), room, layout.footer // 2)))
    line = shorten(text, face, room)
    y = layout.height - layout.footer / 2
    face.draw(draw, (margin, y), line, _QUIET, "lm")
