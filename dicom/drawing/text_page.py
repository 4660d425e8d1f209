"""A page of text that grows: banner, patient, headings, paragraphs, a table, a footer."""

from typing import Final

from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from dicom.drawing.fonts import drawable
from dicom.drawing.text_layout import Face, fit_size, font, readable_name, shorten, wrap

WIDTH: Final = 1240  # A4 at 150 dots an inch
_LEAST_HEIGHT: Final = 1754
# Longer texts are cut here, and the footer states it; the SR has the whole text.
_MOST_HEIGHT: Final = 5 * _LEAST_HEIGHT
_MARGIN: Final = 84
_BANNER: Final = 190
_SIZE: Final = 25
# Number of cells: (left edge, width) of each in pixels: finding, state, place, score, agreement.
_COLUMNS: Final = {
    4: ((0, 412), (428, 212), (650, 330), (996, 76)),
    5: ((0, 412), (424, 196), (630, 226), (866, 76), (957, 115)),
}
_BLACK, _INK, _QUIET, _RULE, _SHADE, _PAPER = 0, 28, 96, 176, 238, 255


def day(value: str) -> str:
    """Return a DA value as YYYY-MM-DD, or "not stated"."""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 else "not stated"


class Page:
    """A page that is written from top to bottom and grows up to a greatest height.

    Text beyond that height is left out. Table cells and paired fields are shortened to their width.
    """

    def __init__(self) -> None:
        self._image = Image.new("L", (WIDTH, _LEAST_HEIGHT), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._y = 0
        self._cut = False

    def banner(self, lines: tuple[str, str]) -> None:
        """Write two lines across the top of the page, in the largest font that fits."""
        self._draw.rectangle((0, 0, WIDTH, _BANNER), fill=_BLACK)
        face = font(fit_size(lines, WIDTH - 120, 74, bold=True), bold=True)
        for line, y in zip(lines, (0.28, 0.73), strict=True):
            center = (WIDTH / 2, _BANNER * y)
            face.draw(self._draw, center, line, _PAPER, "mm")
        self._y = _BANNER + 40

    def patient(self, header: Dataset) -> None:
        """Write the patient and study attributes of the result's header."""
        self.field("Patient", readable_name(str(header.PatientName)) or "not stated")
        self.field("Patient ID", header.PatientID or "not stated")
        self.fields(
            (("Born", day(header.PatientBirthDate)), ("Sex", header.PatientSex or "not stated")),
            (("Study", day(header.StudyDate)), ("Accession", header.AccessionNumber or "none")),
        )

    def field(self, name: str, value: str) -> None:
        """Write a value that identifies the patient; a long value is set smaller and never cut."""
        room = WIDTH - 2 * _MARGIN - 140
        text = drawable(value)
        face = font(fit_size((text,), room, _SIZE, bold=True), bold=True)
        font(_SIZE - 4).draw(self._draw, (_MARGIN, self._y), name, _QUIET)
        face.draw(self._draw, (_MARGIN + 140, self._y - 3), text, _INK)
        self._y += round(_SIZE * 1.6)

    def fields(self, *rows: tuple[tuple[str, str], tuple[str, str]]) -> None:
        """Write rows of two fields side by side."""
        for row in rows:
            for column, (name, value) in enumerate(row):
                x = _MARGIN + column * (WIDTH - 2 * _MARGIN) // 2
                font(_SIZE - 4).draw(self._draw, (x, self._y), name, _QUIET)
                room = (WIDTH - 2 * _MARGIN) // 2 - 160
                face = font(_SIZE, bold=True)
                face.draw(self._draw, (x + 140, self._y - 3), shorten(value, face, room), _INK)
            self._y += round(_SIZE * 1.6)
        self._y += _SIZE

    def heading(self, text: str) -> None:
        """Write the heading of a section."""
        if not self._room(3 * _SIZE):
            return
        face = font(_SIZE - 4, bold=True)
        self._y += _SIZE // 2
        face.draw(self._draw, (_MARGIN, self._y), text.upper(), _QUIET)
        self._y += round(_SIZE * 1.25)
        self._draw.line((_MARGIN, self._y, WIDTH - _MARGIN, self._y), fill=_RULE, width=2)
        self._y += _SIZE // 2

    def table_head(self, cells: tuple[str, ...]) -> None:
        """Write the names of the columns."""
        self._cells(cells, font(_SIZE - 6), _QUIET)

    def row(self, cells: tuple[str, ...], *, strong: bool = False) -> None:
        """Write one row of the table, on a shaded background if `strong`."""
        if not self._room(2 * _SIZE):
            return
        if strong:
            box = (_MARGIN - 12, self._y - 5, WIDTH - _MARGIN + 12, self._y + _SIZE + 9)
            self._draw.rectangle(box, fill=_SHADE)
        self._cells(cells, font(_SIZE, bold=strong), _INK if strong else _QUIET)

    def _cells(self, cells: tuple[str, ...], face: Face, ink: int) -> None:
        for text, (x, width) in zip(cells, _COLUMNS[len(cells)], strict=True):
            line = shorten(text, face, width)
            face.draw(self._draw, (_MARGIN + x, self._y), line, ink)
        self._y += round(_SIZE * 1.6)

    def paragraph(self, text: str, *, boxed: bool = False) -> None:
        """Write text over the whole width, in a frame if `boxed`."""
        face = font(_SIZE, bold=boxed)
        inset = 20 if boxed else 0
        lines = wrap(text, face, WIDTH - 2 * _MARGIN - 2 * inset)
        step = round(_SIZE * 1.5)
        if boxed and self._room(step * len(lines) + 2 * inset):
            bottom = self._y + step * len(lines) + inset
            self._draw.rectangle(
                (_MARGIN, self._y - inset // 2, WIDTH - _MARGIN, bottom), outline=_INK, width=3
            )
            self._y += inset // 2
        for line in lines:
            if not self._room(step):
                return
            face.draw(self._draw, (_MARGIN + inset, self._y), line, _INK)
            self._y += step
        self._y += _SIZE // 2 + inset

    def gap(self) -> None:
        """Leave half a line free."""
        self._y += _SIZE // 2

    def finished(self, foot: str) -> Image.Image:
        """Return the page with `foot` as its last line, marked "CUT" if text was left out."""
        if self._cut:
            foot = f"CUT: the whole text is in the draft report (SR).  {foot}"
        y = self._image.height - 60
        self._draw.line((_MARGIN, y - 16, WIDTH - _MARGIN, y - 16), fill=_RULE, width=2)
        line = shorten(drawable(foot), font(_SIZE - 6), WIDTH - 2 * _MARGIN)
        font(_SIZE - 6).draw(self._draw, (_MARGIN, y), line, _QUIET)
        return self._image

    def _room(self, height: int) -> bool:
        """Make room for `height` pixels above the footer; return False if the page cannot grow more."""
        needed = self._y + height + 90
        if needed <= self._image.height:
            return not self._cut
        if self._cut or needed > _MOST_HEIGHT:
            self._cut = True
            return False
        taller = Image.new("L", (WIDTH, min(_MOST_HEIGHT, needed + _LEAST_HEIGHT // 4)), _PAPER)
        taller.paste(self._image)
        self._image, self._draw = taller, ImageDraw.Draw(taller)
        return True
