"""Images for a page are decoded beside the web process, so that no image crashes the web process."""

import asyncio
import io
import sys
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from dicom.errors import DecoderDied, InvalidDataset, OutOfResources
from dicom.phantom import as_dataset, draw, write
from dicom.pixels.frame import PixelLimits, load_frame
from service.web.images.endpoint import ImageCache
from service.web.images.picture import Picture
from service.web.images.png import PngRenderer

BOUNDS = {"max_pixels": 2**20, "max_bytes": 2**26, "at_once": 2}

# The real program with a decoder that crashes, or never ends, on images of these names.
PROGRAM = """
import ctypes

from dicom.decoding import child as decoder

really_look = decoder.examine


def look(path, limits):
    if path.stem == "crash":
        ctypes.string_at(0)
    while path.stem == "loop":
        pass
    return really_look(path, limits)


decoder.examine = look
decoder.main()
"""


@pytest.fixture(scope="module")
def artist(tmp_path_factory):
    """The renderer, with the damaged decoders."""
    script = tmp_path_factory.mktemp("program") / "decoders.py"
    script.write_text(PROGRAM)
    made = PngRenderer(**BOUNDS, seconds=2, program=(sys.executable, str(script)))
    yield made
    made.close()


@pytest.fixture
def image(tmp_path):
    """A synthetic image as a file."""
    return write(as_dataset(draw(3, rows=96, columns=80)), tmp_path / "image.dcm")


def named(image, name):
    """The image under another name, to be drawn."""
    return Picture(path=image.rename(image.with_name(f"{name}.dcm")))


def test_an_image_is_drawn_as_it_is_read(artist, image):
    """The PNG has the gray levels of the Frame that the model reads."""
    drawn = np.asarray(Image.open(io.BytesIO(artist.draw(Picture(path=image)))))
    frame = load_frame(image, PixelLimits(max_pixels=2**20, max_bytes=2**26))
    assert np.array_equal(drawn, np.round(frame.pixels * 255))


@pytest.mark.parametrize(
    ("name", "error"), [("crash", DecoderDied), ("loop", OutOfResources)], ids=["crash", "loop"]
)
def test_an_image_that_ends_its_decoder_costs_itself_only(artist, image, tmp_path, name, error):
    """A segmentation fault or an endless loop is an error of that image; the next one is drawn."""
    good = Picture(path=write(as_dataset(draw(4, rows=96, columns=80)), tmp_path / "good.dcm"))
    with pytest.raises(error):
        artist.draw(named(image, name))
    assert artist.draw(good).startswith(b"\x89PNG")


def test_an_object_of_ours_that_was_changed_is_not_drawn(artist, image):
    """Our own objects are decoded only while they are unchanged."""
    ours = Picture(path=image, sha256=sha256(image.read_bytes()).hexdigest())
    assert artist.draw(ours).startswith(b"\x89PNG")
    with pytest.raises(InvalidDataset, match="has changed since it was written"):
        artist.draw(replace(ours, sha256="0" * 64))


def test_nothing_is_started_before_the_first_picture_nor_after_the_end(image):
    """The decoders are started once, by the first image; a closed cache starts none."""
    made = []

    def make():
        made.append(PngRenderer(**BOUNDS, seconds=30))
        return made[-1]

    images = ImageCache(make)
    assert made == []
    for size in (40, 50):
        png = asyncio.run(images.png(Picture(path=image, size=size)))
        assert max(Image.open(io.BytesIO(png)).size) == size
    assert len(made) == 1
    images.close()
    early = ImageCache(make)
    early.close()
    with pytest.raises((OutOfResources, RuntimeError)):
        asyncio.run(early.png(Picture(path=image)))
    assert len(made) == 1
