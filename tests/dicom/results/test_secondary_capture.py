"""The Secondary Captures: their attributes, and their visible content."""

import math
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from dicom.content.report import Agreement, Finding, NotRead, Observation, Presence, Region, Side
from dicom.drawing.text_layout import fit_size, font, readable_name, shorten, wrap
from dicom.results.annotated_image import overlay_image
from dicom.results.annotated_image_layout import Layout
from dicom.results.secondary_capture import overlay, report_page

AMBER = np.array((255, 193, 7))


def frame(dataset):
    """Return the pixels as an array [rows, columns] or [rows, columns, 3]."""
    shape = (dataset.Rows, dataset.Columns)
    shape += (3,) if dataset.SamplesPerPixel == 3 else ()
    size = int(np.prod(shape))
    return np.frombuffer(dataset.PixelData[:size], np.uint8).reshape(shape)


@pytest.fixture
def annotated(image_header, make_draft, equipment, shown_pixels):
    """A function that returns the overlay of a draft with changes."""

    def build(header=None, long_edge=1280, **changes):
        header = header or image_header()
        pixels = shown_pixels(header.Rows, header.Columns)
        return overlay(
            make_draft(header, **changes), header, pixels, equipment, long_edge=long_edge
        )

    return build


@pytest.fixture
def page(image_header, make_draft, equipment):
    """A function that returns the report page of a draft with changes."""

    def build(header=None, **changes):
        header = header or image_header()
        return report_page(make_draft(header, **changes), header, equipment)

    return build


def test_overlay_attributes_keep_it_from_being_taken_for_an_image(annotated):
    """Modality OT, derived, secondary, AI, no spacing and no window: never hung or measured."""
    dataset = annotated()
    assert dataset.Modality == "OT"
    assert dataset.ConversionType == "WSD"
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "", "AI"]
    assert dataset.ImageComments == "AI generated. Not reviewed by a radiologist."
    assert dataset.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert not {"PixelSpacing", "WindowCenter", "VOILUTFunction"} & set(dataset.dir())


def test_overlay_states_of_burned_in_text_what_the_image_states(annotated, image_header):
    """YES and NO are taken from the image; where it is silent, so is the overlay."""
    assert annotated(image_header(BurnedInAnnotation="NO")).BurnedInAnnotation == "NO"
    assert annotated(image_header(BurnedInAnnotation="YES")).BurnedInAnnotation == "YES"
    assert "BurnedInAnnotation" not in annotated()


def test_overlay_keeps_orientation_and_loss_of_the_image(annotated, image_header):
    """Patient Orientation is the image's; what was once compressed with loss stays marked so."""
    dataset = annotated(image_header(LossyImageCompression="01"))
    assert list(dataset.PatientOrientation) == ["L", "F"]
    assert dataset.LossyImageCompression == "01"
    assert annotated().LossyImageCompression == "00"


def test_an_invalid_orientation_is_left_empty(annotated, image_header):
    """An invalid Patient Orientation is not copied."""
    assert not annotated(image_header(PatientOrientation=["left", "?"])).PatientOrientation


def test_banner_is_burned_in_and_legible_in_a_thumbnail(annotated):
    """The amber text fills the top of the image, and remains readable at a width of 200 pixels."""
    pixels = frame(annotated())
    amber = np.abs(pixels[:160].astype(int) - AMBER).sum(axis=2) < 30
    assert 0.2 < amber.mean() < 0.6
    columns = np.flatnonzero(amber.any(axis=0))
    assert columns[0] < 100
    assert columns[-1] > 1180
    small = Image.fromarray(pixels)
    small.thumbnail((200, 200))
    strip = np.asarray(small.convert("L"))[:22].astype(int)
    assert strip.max() - strip.min() > 120


def test_image_on_the_overlay_has_its_aspect_and_its_pixels(annotated, image_header):
    """The image is scaled alike in both directions, dark side left and bright side right."""
    header = image_header(Rows=420, Columns=200)
    layout = Layout.of(420, 200, 1280)
    left, top, width, height = layout.image
    assert height / width == pytest.approx(420 / 200, rel=0.003)
    pixels = frame(annotated(header, findings=()))[top : top + height, left : left + width]
    gray = pixels[..., 0].astype(int)
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert gray[:, 0].max() < 4
    assert gray[:, -1].min() > 251
    assert (np.diff(gray, axis=1) >= 0).all()


@pytest.mark.parametrize("size", [(300, 240), (200, 900), (900, 200), (64, 64), (2128, 2000)])
@pytest.mark.parametrize("long_edge", [512, 1024, 1280, 2048])
def test_overlay_has_the_configured_width_and_holds_everything(size, long_edge):
    """For any shape of the image the canvas is `long_edge` wide, no higher, and holds the image."""
    layout = Layout.of(*size, long_edge)
    left, top, width, height = layout.image
    assert layout.width == long_edge
    assert layout.height <= long_edge + 1
    assert left >= 0
    assert left + width <= layout.width - layout.panel
    assert top >= layout.banner
    assert top + height <= layout.height - layout.footer + 1


@pytest.mark.parametrize("size", [(300, 240), (240, 300), (1000, 500)])
def test_a_region_lies_on_the_same_anatomy_as_on_the_image(
    image_header, make_draft, equipment, size
):
    """The outline is drawn where the image's own pixels are, to within the stroke's width."""
    rows, columns = size
    header = image_header(Rows=rows, Columns=columns)
    left, top, right, bottom = 0.25 * columns, 0.5 * rows, 0.75 * columns, 0.8 * rows
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    found = Finding(
        observation=Observation.EDEMA, presence=Presence.PRESENT, region=Region(points=corners)
    )
    draft = make_draft(header, findings=(found,))
    pixels = np.zeros(size, np.float32)
    pixels[round(top) : round(bottom), round(left) : round(right)] = 1.0
    moment = datetime(2026, 3, 4)  # noqa: DTZ001 - only drawn
    drawn = np.asarray(overlay_image(draft, pixels, equipment, moment)).astype(int)
    x, y, width, height = Layout.of(rows, columns, 1280).image
    shown = drawn[y : y + height, x : x + width]
    outline = np.abs(shown - (255, 138, 76)).sum(axis=2) < 90
    bright = shown.min(axis=2) > 128
    rows_hit, rows_image = np.flatnonzero(outline.any(axis=1)), np.flatnonzero(bright.any(axis=1))
    assert abs(rows_hit[-1] - rows_image[-1]) <= 3
    columns_hit = np.flatnonzero(outline[int(0.7 * height)])
    columns_image = np.flatnonzero(bright[int(0.7 * height)])
    assert abs(columns_hit[0] - columns_image[0]) <= 3
    assert abs(columns_hit[-1] - columns_image[-1]) <= 3


def test_a_slanted_region_is_outlined_without_covering_its_inside(annotated):
    """A triangle is drawn as a line; the image inside it is untouched."""
    triangle = Region(points=((60, 60), (180, 90), (90, 220)))
    found = Finding(observation=Observation.EDEMA, presence=Presence.UNCERTAIN, region=triangle)
    with_region = frame(annotated(findings=(found,)))
    without = frame(
        annotated(findings=(Finding(observation=Observation.EDEMA, presence=Presence.UNCERTAIN),))
    )
    left, top, width, height = Layout.of(300, 240, 1280).image
    changed = (with_region != without).any(axis=2)[top : top + height, left : left + width]
    assert 0.002 < changed.mean() < 0.05
    assert not changed[int(0.42 * height), int(0.45 * width)]


def test_pixels_that_are_no_numbers_are_drawn_black(image_header, make_draft, equipment):
    """NaN and values beyond 0..1 neither fail nor wrap around."""
    header = image_header(Rows=64, Columns=64)
    pixels = np.full((64, 64), np.nan, np.float32)
    pixels[:, 32:] = 7.0
    dataset = overlay(make_draft(header, findings=()), header, pixels, equipment)
    left, top, width, height = Layout.of(64, 64, 1280).image
    row = frame(dataset)[top + height // 2, left : left + width, 0]
    assert row[0] == 0
    assert row[-1] == 255


def test_page_is_a_gray_page_that_admits_its_identifying_text(page):
    """MONOCHROME2, A4 at 150 dots an inch, BurnedInAnnotation YES, no orientation."""
    dataset = page()
    assert (dataset.PhotometricInterpretation, dataset.SamplesPerPixel) == ("MONOCHROME2", 1)
    assert (dataset.Columns, dataset.Rows) == (1240, 1754)
    assert dataset.BurnedInAnnotation == "YES"
    assert not dataset.PatientOrientation


def test_page_has_a_black_banner_and_dark_text_on_white(page):
    """The banner's text is white on black; below it the page is white with dark text."""
    pixels = frame(page())
    assert 0.15 < (pixels[:190] > 128).mean() < 0.6
    assert (pixels[200:] > 200).mean() > 0.85
    assert (pixels[200:] < 60).any()


@pytest.mark.parametrize("sampled", [None, Agreement(same=12, samples=16)])
def test_no_word_of_the_table_is_cut_on_the_page(page, image_header, monkeypatch, sampled):
    """Names of columns, every observation and its statement fit, with sampled reports too."""
    cut = []

    def watched(text, face, width):
        if (short := shorten(text, face, width)) != text:
            cut.append(text)
        return short

    monkeypatch.setattr("dicom.drawing.text_page.shorten", watched)
    details = {"side": Side.BILATERAL, "site": "lower", "score": 0.99, "agreement": sampled}
    for presence in Presence:
        findings = [Finding(observation=each, presence=presence, **details) for each in Observation]
        page(image_header(), findings=tuple(findings))
    assert not cut


def test_page_grows_with_its_text_and_loses_nothing(page):
    """Four times the text makes a higher page, with ink near its foot."""
    sentences = tuple(f"Sentence {n} about the lungs, long enough to wrap." for n in range(120))
    dataset = page(findings_text=sentences)
    assert dataset.Rows > 1754
    written = np.flatnonzero((frame(dataset) < 100).any(axis=1))
    assert written[-1] > dataset.Rows - 80


def test_page_reports_it_when_it_had_to_cut(page):
    """A text without end is cut at a limit; the page stays bounded."""
    dataset = page(findings_text=("word " * 60_000,))
    assert dataset.Rows <= 5 * 1754


def test_both_images_share_a_series_and_are_numbered(annotated, page, image_header):
    """Overlay and page are instances 1 and 2 of one series."""
    header = image_header()
    images = (annotated(header), page(header))
    assert images[0].SeriesInstanceUID == images[1].SeriesInstanceUID
    assert [image.InstanceNumber for image in images] == [1, 2]
    assert images[0].SeriesDescription.startswith("AI images - NOT FOR DIAGNOSIS")


def test_many_notes_and_images_do_not_leave_the_panel(annotated):
    """What does not fit the panel is cut with an ellipsis, and the footer stays readable."""
    notes = tuple(f"Note number {n} that goes on for quite some words." for n in range(40))
    unread = tuple(NotRead(sop_instance_uid=f"1.2.{n}", reason="lateral") for n in range(9))
    many = frame(annotated(notes=notes, not_read=unread))
    few = frame(annotated())
    footer = slice(many.shape[0] - 36, None)
    assert (many[footer] == few[footer]).all()


def test_wrap_breaks_words_that_are_longer_than_a_line():
    """No line is wider than asked for, and nothing is lost."""
    face = font(20)
    lines = wrap("short " + "x" * 400, face, 200)
    assert all(face.getlength(line) <= 200 for line in lines)
    assert "".join(lines).count("x") == 400


def test_wrap_ends_with_an_ellipsis_where_it_is_cut():
    """A limit on lines shows that there was more."""
    lines = wrap("word " * 100, font(20), 200, limit=3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")


def test_short_lines_are_not_shortened():
    """A line that fits stays as it is; one that does not ends with an ellipsis."""
    assert shorten("abc", font(20), 500) == "abc"
    assert shorten("a" * 99, font(20), 100).endswith("…")


def test_fit_size_fills_the_width():
    """The size found fits every line; one more pixel would not."""
    size = fit_size(("NOT FOR PRIMARY DIAGNOSIS",), 1000, 500, bold=True)
    assert font(size, bold=True).getlength("NOT FOR PRIMARY DIAGNOSIS") <= 1010
    assert font(size + 2, bold=True).getlength("NOT FOR PRIMARY DIAGNOSIS") > 1000


def test_a_name_is_shown_in_its_alphabetic_and_ideographic_group():
    """The alphabetic group is shown, the ideographic one in brackets; else what there is."""
    assert readable_name("Yamada^Tarou=山田^太郎=やまだ^たろう") == "Yamada, Tarou (山田 太郎)"
    assert readable_name("=山田^太郎=") == "山田 太郎"
    assert readable_name("Kim^Hee=金^喜=김^희") == "Kim, Hee (金 喜)"
    assert readable_name("==やまだ^たろう") == "やまだ たろう"
    assert readable_name("Wang^XiaoDong=王^小东=") == "Wang, XiaoDong (王 小东)"
    assert readable_name("ใจดี^สมชาย") == "ใจดี, สมชาย"
    assert readable_name("ខ្មែរ^ឈ្មោះ") == "[Khmer letters, not drawn here]"
    assert readable_name("Müller^Jörg^^Dr.") == "Müller, Jörg Dr."
    assert readable_name("") == ""


def test_a_cross_marks_the_strongest_support(annotated):
    """The peak of a region is drawn as an open cross; outside the image, or NaN, it is not drawn."""
    corners = ((60.0, 60.0), (180.0, 60.0), (180.0, 220.0), (60.0, 220.0), (60.0, 60.0))

    def drawn(peak):
        region = Region(points=corners, peak=peak)
        found = Finding(observation=Observation.EDEMA, presence=Presence.PRESENT, region=region)
        return frame(annotated(findings=(found,)))

    plain = drawn(None)
    for nowhere in ((-5.0, 100.0), (math.nan, 100.0), (100.0, 5000.0)):
        assert (drawn(nowhere) == plain).all()
    rows, columns = np.nonzero((drawn((120.0, 140.0)) != plain).any(axis=2))
    ((x, y),) = Layout.of(300, 240, 1280).on_canvas(((120.0, 140.0),), 300, 240)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(x, abs=2)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(y, abs=2)
    assert not ((abs(rows - y) < 4) & (abs(columns - x) < 4)).any()
