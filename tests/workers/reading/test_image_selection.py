"""The choice of an image while others are being decoded."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicom.decoding.pool import Decoders
from dicom.phantom import as_dataset, draw, write
from dicom.pixels.frame import PixelLimits
from dicom.selection.image_selection import Rules
from dicom.selection.local_files import describe
from dicom.study import Study
from service.settings.config import load_settings
from workers.lease import Lease
from workers.model.errors import Canceled
from workers.reading.image_selection import ImageSelector, rules_for

LIMITS = PixelLimits(max_pixels=2**20, max_bytes=2**26)

# The real program; an image called "held" is being decoded until it is removed.
PROGRAM = """
import time

from dicom.decoding import child as decoder

really_look = decoder.examine


def look(path, limits):
    while path.stem == "held" and path.exists():
        time.sleep(0.02)
    return really_look(path, limits)


decoder.examine = look
decoder.main()
"""


@pytest.fixture
def busy(tmp_path):
    """The only decoder, and the image that it is at."""
    script = tmp_path / "decoders.py"
    script.write_text(PROGRAM)
    held = write(as_dataset(draw(3, rows=96, columns=80)), tmp_path / "held.dcm")
    program = (sys.executable, str(script))
    with Decoders(at_once=1, seconds=60, max_pixels=2**20, program=program) as running:
        running.wait_until_ready()
        with ThreadPoolExecutor(1) as callers:
            first = callers.submit(running.examine, held, LIMITS)
            while running._free._value:
                assert not first.done()
            yield running, held
            held.unlink(missing_ok=True)


@pytest.fixture
def study(tmp_path):
    """A study of one synthetic image."""
    image = describe(write(as_dataset(draw(4, rows=420, columns=400)), tmp_path / "image.dcm"))
    return Study(study_instance_uid=image.study_instance_uid, instances=(image,))


def test_a_job_that_waits_for_a_decoder_is_not_taken_for_hung(busy, study):
    """Its lease is extended while it waits, and then its image is chosen."""
    decoders, held = busy
    lease, asked = Lease(lambda: None, 60), []

    def canceled():
        lease.progressed()
        asked.append(lease.stalled)
        if len(asked) == 3:
            held.unlink()
        return False

    selection = ImageSelector(load_settings(), decoders.examine).selected(study, None, canceled)
    assert selection.instance is study.instances[0]
    assert len(asked) >= 3


def test_a_job_that_waits_for_a_decoder_is_given_up_when_it_is_canceled(busy, study):
    """It need not have its turn for that."""
    decoders, held = busy
    asked = threading.Event()

    def canceled():
        was = asked.is_set()
        asked.set()
        return was

    with pytest.raises(Canceled):
        ImageSelector(load_settings(), decoders.examine).selected(study, None, canceled)
    assert held.exists()


@pytest.mark.parametrize(
    ("caller", "rules"),
    [
        ({}, Rules(minimum_age_years=16, read_children=True)),
        ({"read_children": False}, Rules(minimum_age_years=16, read_children=False)),
        ({"minimum_age_years": 0}, Rules(minimum_age_years=0, read_children=True)),
        (
            {"stated_only": True},
            Rules(minimum_age_years=16, read_children=True, stated_only=True),
        ),
    ],
)
def test_what_a_caller_states_overrides_what_the_model_reads(caller, rules):
    """Without values nothing changes; 0 and off are values."""
    settings = load_settings(
        reading={"minimum_age_years": 16, "read_children": True},
        receiver={"callers": [{"ae_title": "CR1"} | caller]},
    )
    assert rules_for(settings, settings.caller("CR1")) == rules
    assert rules_for(settings, None) == Rules(minimum_age_years=16, read_children=True)
