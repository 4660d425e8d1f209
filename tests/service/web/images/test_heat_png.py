"""Heat maps as PNG: read by another decoder, and maps that are not drawn."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dicom.content.report import HeatGrid
from service.web.images.heat_png import heat_png

SHARES = np.array([[0, 10, 20], [30, 40, 50], [60, 70, 255]], np.uint8)
GRID = HeatGrid(
    edge=3, cells=base64.b64encode(SHARES.tobytes()).decode(), left=0.0, top=12.0, size=96.0
)


def test_the_share_of_a_cell_is_its_opacity():
    """Pillow reads one pixel a cell, in one color."""
    image = Image.open(io.BytesIO(heat_png(GRID)))
    pixels = np.asarray(image)
    assert (image.mode, image.size) == ("RGBA", (3, 3))
    assert pixels[..., 3].tolist() == SHARES.tolist()
    assert np.unique(pixels[..., :3].reshape(-1, 3), axis=0).tolist() == [[255, 122, 0]]


@pytest.mark.parametrize(
    "damage", [{"edge": 4}, {"edge": 0}, {"edge": 9999}, {"cells": "no base64!"}, {"cells": ""}]
)
def test_a_damaged_map_is_refused(damage):
    """A draft of another version, or a changed row."""
    with pytest.raises(ValueError, match=r"grid|base64|share"):
        heat_png(replace(GRID, **damage))
