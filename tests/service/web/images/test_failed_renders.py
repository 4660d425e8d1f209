"""An image that cannot be drawn costs a decoder once, not at every view, and the reason is shown."""

import asyncio
import sys

import pytest

from dicom.errors import DecoderDied, DecodersBusy, DecoderSlow, InvalidDataset, OutOfResources
from dicom.phantom import as_dataset, draw, write
from service.web.images.endpoint import ImageCache
from service.web.images.failed_renders import FORGET_SECONDS, FailedRenderCache
from service.web.images.picture import THUMBNAIL_SIZE, Picture
from service.web.images.png import PngRenderer

# The real program, which records each image that it starts, and hangs or crashes on small ones.
PROGRAM = """
import ctypes
import sys
import time
from pathlib import Path

from dicom.decoding import child as decoder

really_look = decoder.examine


def look(path, limits):
    with Path(__file__).with_name("taken").open("a") as taken:
        taken.write(path.name + "\\n")
    looked = really_look(path, limits)
    while looked.frame.pixels.shape == (96, 80):
        time.sleep(1)
    if looked.frame.pixels.shape == (96, 81):
        ctypes.string_at(0)
    return looked


decoder.examine = look
decoder.main()
"""


@pytest.fixture
def images(tmp_path):
    """The images of a page, drawn by the damaged decoders; each may take a second."""
    script = tmp_path / "decoders.py"
    script.write_text(PROGRAM)
    (tmp_path / "taken").touch()

    def artist():
        return PngRenderer(
            max_pixels=2**20,
            max_bytes=2**26,
            at_once=2,
            seconds=1,
            program=(sys.executable, str(script)),
        )

    made = ImageCache(artist)
    made.renderer()._decoders.wait_until_ready()
    (tmp_path / "taken").write_text("")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("columns", "error", "tries"),
    [(80, DecoderSlow, 1), (81, DecoderDied, 2)],
    ids=["hang", "crash"],
)
def test_what_ended_a_decoder_is_not_decoded_at_the_next_view(
    images, tmp_path, columns, error, tries
):
    """Neither whole nor as a thumbnail: the reason is reported again; another image is drawn."""
    path = write(as_dataset(draw(3, rows=96, columns=columns)), tmp_path / "bad.dcm")
    errors = []
    for picture in (
        Picture(path=path),
        Picture(path=path),
        Picture(path=path, size=THUMBNAIL_SIZE),
    ):
        with pytest.raises(error) as caught:
            asyncio.run(images.png(picture))
        errors.append(str(caught.value))
    assert errors == errors[:1] * 3
    assert (tmp_path / "taken").read_text().splitlines() == ["bad.dcm"] * tries
    good = write(as_dataset(draw(4, rows=120, columns=100)), tmp_path / "good.dcm")
    assert asyncio.run(images.png(Picture(path=good))).startswith(b"\x89PNG")


def test_the_page_answers_with_the_reason_to_people_and_to_programs(site, seeder):
    """422 and the message; the page shows it in place of the image."""
    image = seeder.image(1)
    image.path.write_bytes(image.path.read_bytes()[:-5000])
    url = f"/studies/{image.study_instance_uid}/films/{image.sop_instance_uid}.png"
    answers = [site.get(url), site.get(url, headers={"Accept": "application/json"})]
    assert [each.status_code for each in answers] == [422, 422]
    error = answers[1].json()["error"]
    assert error.startswith("This image cannot be shown: ")
    assert error.split(":")[0] in answers[0].text


def test_what_is_known_of_an_image_is_forgotten_after_a_while():
    """A decoder that was slow because the machine was busy gets another chance."""
    now = [5.0]
    known = FailedRenderCache(lambda: now[0])
    known.note("image", DecoderSlow("too slow"))
    now[0] += FORGET_SECONDS - 1
    with pytest.raises(DecoderSlow, match="too slow"):
        known.check("image")
    known.check("another")
    now[0] += 1
    known.check("image")


@pytest.mark.parametrize("error", [DecodersBusy("busy"), OutOfResources("killed")])
def test_what_may_be_gone_in_a_moment_is_not_remembered(error):
    """The next view tries again."""
    known = FailedRenderCache()
    known.note("image", error)
    known.check("image")


def test_no_more_than_the_newest_few_are_remembered():
    """Memory does not grow with the requests."""
    known = FailedRenderCache()
    for number in range(1000):
        known.note(number, InvalidDataset("no"))
    assert len(known._refused) == 256
    known.check(0)
    with pytest.raises(InvalidDataset):
        known.check(999)
