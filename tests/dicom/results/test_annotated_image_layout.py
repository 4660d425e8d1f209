"""Positions on the annotated image, derived from its width."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dicom.results.annotated_image_layout import (
    BACKGROUND,
    Layout,
    draw_banner,
    draw_footer,
    draw_panel,
)


@pytest.mark.parametrize(
    ("rows", "columns"), [(1000, 1000), (3000, 2000), (500, 4000), (4000, 100), (1, 1)]
)
def test_the_image_keeps_its_aspect_ratio(rows, columns):
    """Between banner and footer, beside the panel; the canvas is not taller than wide."""
    layout = Layout.of(rows, columns, 1280)
    left, top, width, height = layout.image
    assert width / height == pytest.approx(columns / rows, rel=0.05, abs=1 / height)
    assert 0 <= left <= layout.width - layout.panel - width
    assert layout.banner <= top <= layout.height - layout.footer - height
    assert layout.height <= layout.width == 1280


def test_points_of_the_source_are_placed_on_the_canvas():
    """The corners of the matrix are the corners of the image."""
    layout = Layout.of(3000, 2000, 1280)
    left, top, width, height = layout.image
    corners = layout.on_canvas(((0, 0), (2000, 3000), (1000, 1500)), 3000, 2000)
    assert corners == (
        (left, top),
        (left + width, top + height),
        (left + width / 2, top + height / 2),
    )


def drawn(paint):
    """Return what a function draws on an empty canvas, as bool [H, W], and the layout."""
    layout = Layout.of(1000, 1000, 640)
    canvas = Image.new("RGB", (layout.width, layout.height), BACKGROUND)
    paint(ImageDraw.Draw(canvas), layout)
    return (np.asarray(canvas) != BACKGROUND).any(axis=2), layout


def test_each_part_stays_in_its_place(image_header, make_draft, equipment):
    """Banner above, panel at the right, footer below; nothing covers the image."""
    draft = make_draft(image_header(), findings_text=("A long sentence about the chest.",) * 90)
    banner, layout = drawn(draw_banner)
    assert banner.any()
    assert not banner[layout.banner :].any()
    panel, _ = drawn(lambda pen, at: draw_panel(pen, at, draft))
    assert not panel[:, : layout.width - layout.panel].any()
    footer, _ = drawn(lambda pen, at: draw_footer(pen, at, draft, equipment, draft.produced_at))
    assert footer.any()
    assert not footer[: layout.height - layout.footer].any()
