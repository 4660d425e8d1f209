"""The report page: the draft as one page of text, for viewers that show images but no SR."""

from datetime import datetime
from typing import Final

from PIL import Image, ImageDraw
from PIL.ImageFont import FreeTypeFont
from pydicom.dataset import Dataset

from dicom import wording
from dicom.overlay import listed
from dicom.patient_study import clean_text
from dicom.report import DraftReport, Finding
from dicom.result_header import BANNER, Equipment, clock_of_film, model_words
from dicom.typeset import drawable, fit_size, font, readable_name, shorten, wrap

WIDTH: Final = 1240  # A4 at 150 dots an inch
_LEAST_HEIGHT: Final = 1754
# Longer drafts are cut here, and the page says so; the SR has the whole text.
_MOST_HEIGHT: Final = 5 * _LEAST_HEIGHT
_MARGIN: Final = 84
_BANNER: Final = 190
_SIZE: Final = 25
# Left edge and width of the cells: finding, state, place, score.
_COLUMNS: Final = ((0, 400), (420, 220), (650, 270), (930, 142))
_BLACK, _INK, _QUIET, _RULE, _SHADE, _PAPER = 0, 28, 96, 176, 238, 255


def page_image(
    draft: DraftReport, source: Dataset, header: Dataset, equipment: Equipment
) -> Image.Image:
    """Return the page as an 8-bit grey image, 1240 pixels wide and as high as the text needs.

    Args:
        draft: The text and the findings.
        source: Header of the film, for the view.
        header: Patient and study attributes as they are written into the result.
        equipment: This installation, named in the foot.
    """
    page = _Page()
    page.banner()
    _write_patient(page, header)
    page.paragraph(wording.warning(draft, equipment), boxed=True)
    _write_findings(page, draft)
    _write_text(page, draft, source)
    moment = clock_of_film(draft.produced_at, header)
    return page.finished(_foot(draft, equipment, moment))


def _write_patient(page: "_Page", header: Dataset) -> None:
    name = readable_name(str(header.PatientName)) or "not stated"
    born = _day(header.PatientBirthDate)
    page.field("Patient", name)
    page.field("Patient ID", header.PatientID or "not stated")
    page.fields(
        (("Born", born), ("Sex", header.PatientSex or "not stated")),
        (("Study", _day(header.StudyDate)), ("Accession", header.AccessionNumber or "none")),
    )


def _write_findings(page: "_Page", draft: DraftReport) -> None:
    page.heading("Findings, coded")
    page.table_head()
    for finding in listed(draft):
        page.row(finding)
    page.gap()


def _write_text(page: "_Page", draft: DraftReport, source: Dataset) -> None:
    page.heading("Procedure")
    page.paragraph(wording.procedure(source))
    page.heading("Findings")
    sentences = [line for line in map(clean_text, draft.findings_text) if line]
    page.paragraph(" ".join(sentences) or wording.NO_FINDINGS_TEXT)
    page.heading("Impression")
    lines = [line for line in map(clean_text, draft.impression_text) if line]
    for number, line in enumerate(lines, start=1):
        page.paragraph(f"{number}. {line}")
    page.paragraph(wording.FOOTER)
    remarks = wording.remarks(draft)
    if remarks:
        page.heading("Notes for the reader")
        for remark in remarks:
            page.paragraph(remark.removeprefix("Note: "))


def _foot(draft: DraftReport, equipment: Equipment, moment: datetime) -> str:
    return (
        f"{model_words(draft)}  ·  {equipment.words}  ·  {moment:%Y-%m-%d %H:%M:%S}  ·  "
        f"revision {draft.revision}"
    )


def _day(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 else "not stated"


class _Page:
    """Writes down a page that grows; nothing is lost but what passes the greatest height."""

    def __init__(self) -> None:
        self._image = Image.new("L", (WIDTH, _LEAST_HEIGHT), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._y = 0
        self._cut = False

    def banner(self) -> None:
        self._draw.rectangle((0, 0, WIDTH, _BANNER), fill=_BLACK)
        face = font(fit_size(BANNER, WIDTH - 120, 74, bold=True), bold=True)
        for line, y in zip(BANNER, (0.28, 0.73), strict=True):
            centre = (WIDTH / 2, _BANNER * y)
            self._draw.text(centre, line, font=face, fill=_PAPER, anchor="mm")
        self._y = _BANNER + 40

    def field(self, name: str, value: str) -> None:
        """Write what identifies the patient: smaller when it is long, but never cut."""
        room = WIDTH - 2 * _MARGIN - 140
        text = drawable(value)
        face = font(fit_size((text,), room, _SIZE, bold=True), bold=True)
        self._draw.text((_MARGIN, self._y), name, font=font(_SIZE - 4), fill=_QUIET)
        self._draw.text((_MARGIN + 140, self._y - 3), text, font=face, fill=_INK)
        self._y += round(_SIZE * 1.6)

    def fields(self, *rows: tuple[tuple[str, str], tuple[str, str]]) -> None:
        for row in rows:
            for column, (name, value) in enumerate(row):
                x = _MARGIN + column * (WIDTH - 2 * _MARGIN) // 2
                self._draw.text((x, self._y), name, font=font(_SIZE - 4), fill=_QUIET)
                room = (WIDTH - 2 * _MARGIN) // 2 - 160
                text = shorten(value, font(_SIZE, bold=True), room)
                self._draw.text(
                    (x + 140, self._y - 3), text, font=font(_SIZE, bold=True), fill=_INK
                )
            self._y += round(_SIZE * 1.6)
        self._y += _SIZE

    def heading(self, words: str) -> None:
        if not self._room(3 * _SIZE):
            return
        face = font(_SIZE - 4, bold=True)
        self._y += _SIZE // 2
        self._draw.text((_MARGIN, self._y), words.upper(), font=face, fill=_QUIET)
        self._y += round(_SIZE * 1.25)
        self._draw.line((_MARGIN, self._y, WIDTH - _MARGIN, self._y), fill=_RULE, width=2)
        self._y += _SIZE // 2

    def row(self, finding: Finding) -> None:
        if not self._room(2 * _SIZE):
            return
        positive = wording.is_positive(finding)
        face = font(_SIZE, bold=positive)
        ink = _INK if positive else _QUIET
        cells = (
            wording.label(finding),
            wording.state(finding),
            wording.place(finding),
            wording.certainty(finding) or "none",
        )
        if positive:
            box = (_MARGIN - 12, self._y - 5, WIDTH - _MARGIN + 12, self._y + _SIZE + 9)
            self._draw.rectangle(box, fill=_SHADE)
        self._cells(cells, face, ink)

    def table_head(self) -> None:
        head = ("Finding", "The draft says", "Where", "Model score")
        self._cells(head, font(_SIZE - 6), _QUIET)

    def _cells(self, cells: tuple[str, ...], face: FreeTypeFont, ink: int) -> None:
        for text, (x, width) in zip(cells, _COLUMNS, strict=True):
            line = shorten(text, face, width)
            self._draw.text((_MARGIN + x, self._y), line, font=face, fill=ink)
        self._y += round(_SIZE * 1.6)

    def paragraph(self, words: str, *, boxed: bool = False) -> None:
        face = font(_SIZE, bold=boxed)
        inset = 20 if boxed else 0
        lines = wrap(words, face, WIDTH - 2 * _MARGIN - 2 * inset)
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
            self._draw.text((_MARGIN + inset, self._y), line, font=face, fill=_INK)
            self._y += step
        self._y += _SIZE // 2 + inset

    def gap(self) -> None:
        self._y += _SIZE // 2

    def finished(self, foot: str) -> Image.Image:
        """Return the page, cut to what was written, with `foot` as its last line."""
        if self._cut:
            foot = f"CUT: the whole text is in the draft report (SR).  {foot}"
        y = self._image.height - 60
        self._draw.line((_MARGIN, y - 16, WIDTH - _MARGIN, y - 16), fill=_RULE, width=2)
        line = shorten(drawable(foot), font(_SIZE - 6), WIDTH - 2 * _MARGIN)
        self._draw.text((_MARGIN, y), line, font=font(_SIZE - 6), fill=_QUIET)
        return self._image

    def _room(self, height: int) -> bool:
        """Make room for `height` more pixels above the foot; False when the page may grow no more."""
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
