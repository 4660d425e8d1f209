"""Decoding in separate processes: the same pixels, and a crash affects one image only."""

import contextlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicom.decoding.pool import Decoders
from dicom.errors import (
    DecoderDied,
    DecodersBusy,
    DecoderSlow,
    DicomError,
    LimitExceeded,
    OutOfResources,
)
from dicom.phantom import as_dataset, draw, write
from dicom.pixels.frame import PixelLimits
from dicom.selection.image_selection import Reason, Rules, choose, examine
from dicom.selection.local_files import describe
from dicom.study import Study

LIMITS = PixelLimits(max_pixels=2**24, max_bytes=2**26)
RULES = Rules(minimum_age_years=18, read_children=True)

# The real program with a decoder that behaves as the image's file name states.
PROGRAM = """
import ctypes
import os
import signal

from dicom.decoding import child as decoder

libc = ctypes.CDLL(None)
really_look = decoder.examine


def segfault():
    ctypes.string_at(0)


def sleep():
    libc.sleep(600)


def loop():
    while True:
        pass


def eat():
    eaten = []
    while True:
        eaten.append(bytearray(2**26))


def stop():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    os._exit(7)


def fault():
    raise ValueError("DOE^JOHN")


DEEDS = {
    "abort": os.abort, "segfault": segfault, "sleep": sleep, "loop": loop, "eat": eat,
    "stop": stop, "leave": leave, "fault": fault,
}


def look(path, limits):
    if path.stem in DEEDS:
        DEEDS[path.stem]()
    return really_look(path, limits)


decoder.examine = look
decoder.main()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The command line of the decoders whose decoder is damaged."""
    script = tmp_path_factory.mktemp("program") / "decoders.py"
    script.write_text(PROGRAM)
    return (sys.executable, str(script))


@pytest.fixture(scope="module")
def damaged(program):
    """Decoders that behave as an image's file name states."""
    with Decoders(at_once=2, seconds=30, max_pixels=2**20, program=program) as running:
        yield running


@pytest.fixture(scope="module")
def decoders():
    """The unchanged decoders."""
    with Decoders(at_once=2, seconds=30, max_pixels=LIMITS.max_pixels) as running:
        yield running


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A synthetic frontal image as a file."""
    path = tmp_path_factory.mktemp("images") / "image.dcm"
    return write(as_dataset(draw(3, rows=420, columns=400)), path)


def as_image(image, name):
    """A copy of the image under another name."""
    path = image.with_name(f"{name}.dcm")
    path.write_bytes(image.read_bytes())
    return path


def outcome(way, path):
    """The result of decoding an image in one way: its pixels, warnings and verdict, or the error."""
    try:
        looked = way(path, LIMITS)
    except DicomError as error:
        return type(error), str(error)
    return looked.frame.pixels.tobytes(), looked.frame.warnings, looked.verdict


def test_an_image_is_seen_as_in_this_process(decoders, image):
    """Pixels, warnings and verdict are equal, and the pixels cannot be written to."""
    assert outcome(decoders.examine, image) == outcome(examine, image)
    pixels = decoders.examine(image, LIMITS).frame.pixels
    assert pixels.shape == (420, 400)
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 1


def test_every_damaged_image_ends_as_in_this_process(decoders, shared_data):
    """All hostile and all real images: the same pictures and the same refusals."""
    paths = [path for path in sorted((shared_data / "edge-cases").rglob("*")) if path.is_file()]
    assert len(paths) > 100
    for path in paths:
        assert outcome(decoders.examine, path) == outcome(examine, path), path.name


def test_a_missing_file_is_the_file_systems_error(decoders, tmp_path):
    """An operating system error about a file is the same as in this process."""
    errors = []
    for way in (examine, decoders.examine):
        with pytest.raises((OSError, DicomError)) as caught:
            way(tmp_path / "none.dcm", LIMITS)
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        ("abort", "SIGABRT"),
        ("segfault", "SIGSEGV"),
        ("leave", "exit status 7"),
        ("fault", "exit status 1"),
    ],
)
def test_a_crash_costs_its_own_image(damaged, image, deed, expected):
    """The image is tried twice and then refused by name; another image is decoded meanwhile."""
    with ThreadPoolExecutor(2) as callers:
        bad = callers.submit(damaged.examine, as_image(image, deed), LIMITS)
        good = callers.submit(damaged.examine, image, LIMITS)
        with pytest.raises(DecoderDied, match=f"2 times .{expected}") as caught:
            bad.result(30)
        assert good.result(30).verdict.reason is None
    assert "DOE" not in str(caught.value)
    assert damaged.examine(image, LIMITS).verdict.reason is None


@pytest.mark.parametrize("deed", ["sleep", "loop"])
def test_a_decoder_that_does_not_end_is_ended(program, image, deed):
    """One image hangs in native code, one computes without end: the machine may be the cause."""
    with (
        Decoders(at_once=1, seconds=1, max_pixels=2**20, program=program) as hasty,
        pytest.raises(OutOfResources, match="longer than 1 s"),
    ):
        hasty.examine(as_image(image, deed), LIMITS)


def test_a_decoder_that_is_killed_may_be_tried_later(damaged, image):
    """The kernel kills a process when memory ends, for any cause; the next image is decoded."""
    with pytest.raises(OutOfResources, match="killed"):
        damaged.examine(as_image(image, "stop"), LIMITS)
    assert damaged.examine(image, LIMITS).verdict.reason is None


def test_a_bomb_ends_at_the_limit(damaged, image):
    """The kernel refuses memory long before the machine has none left."""
    with pytest.raises(LimitExceeded, match="memory"):
        damaged.examine(as_image(image, "eat"), LIMITS)


def test_the_other_images_of_a_study_are_read(damaged, image, tmp_path):
    """An image that ends the decoder is refused with this message, and the next one is selected."""
    later = dcmread(image)
    later.SOPInstanceUID = later.file_meta.MediaStorageSOPInstanceUID = "2.25.4"
    later.ViewPosition = "AP"
    later.save_as(other := tmp_path / "other.dcm")
    paths = (as_image(image, "segfault"), other)
    instances = tuple(describe(path) for path in paths)
    study = Study(study_instance_uid=instances[0].study_instance_uid, instances=instances)
    selection = choose(study, RULES, LIMITS, damaged.examine)
    assert selection.instance is instances[1]
    assert "SIGSEGV" in selection.not_read[0].reason
    alone = choose(
        Study(study_instance_uid=study.study_instance_uid, instances=instances[:1]),
        RULES,
        LIMITS,
        damaged.examine,
    )
    assert alone.reason is Reason.UNREADABLE


def test_who_waits_until_they_are_ready_has_a_child_waiting(image):
    """Afterwards a prepared child is ready for the next image."""
    with Decoders(at_once=1, seconds=30, max_pixels=LIMITS.max_pixels) as running:
        running.wait_until_ready()
        assert children_of(running._parent._process.pid)
        assert running.examine(image, LIMITS).verdict.reason is None


def test_unexpected_exits_do_not_stop_the_parent():
    """The socket is full of unread exit statuses; the parent still starts children."""
    program = """
import os, socket
from dicom.decoding.child import _await_child
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    while True:
        theirs.send(b"{}", socket.MSG_DONTWAIT)
except BlockingIOError:
    pass
if not os.fork():
    os._exit(1)
assert _await_child(theirs)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_decoders_that_cannot_start_report_it():
    """The waiting call raises an error; a worker that cannot decode does not count as ready."""
    program = (sys.executable, "-c", "raise SystemExit(1)")
    with (
        Decoders(at_once=1, seconds=30, max_pixels=2**20, program=program) as running,
        pytest.raises(OutOfResources, match="do not start"),
    ):
        running.wait_until_ready()


def test_a_child_goes_on_after_a_good_image_and_ends_after_a_bad_one(image, tmp_path):
    """A refused image may have damaged the process that decoded it."""
    nothing = tmp_path / "nothing.dcm"
    nothing.write_bytes(b"nothing")
    with Decoders(at_once=1, seconds=30, max_pixels=LIMITS.max_pixels) as running:
        running.wait_until_ready()
        parent = running._parent._process.pid

        def settled():
            before = set(children_of(parent))
            time.sleep(0.1)
            return before if len(before) == 2 and before == set(children_of(parent)) else None

        while (first := settled()) is None:
            pass
        for _ in range(3):
            running.examine(image, LIMITS)
        assert set(children_of(parent)) == first
        with pytest.raises(DicomError):
            running.examine(nothing, LIMITS)
        deadline = time.monotonic() + 20
        while set(children_of(parent)) == first:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_more_callers_than_children_wait(decoders, image):
    """Eight callers of two children all get their image, some after a retry."""

    def insist(_):
        while True:
            with contextlib.suppress(DecodersBusy):
                return decoders.examine(image, LIMITS)

    with ThreadPoolExecutor(8) as callers:
        looked = list(callers.map(insist, range(16)))
    assert all(np.array_equal(each.frame.pixels, looked[0].frame.pixels) for each in looked)


def test_who_finds_no_decoder_free_is_informed(program, image):
    """While another image is being decoded, so that a waiting job can renew its lease."""
    with (
        Decoders(at_once=1, seconds=4, max_pixels=2**20, program=program) as running,
        ThreadPoolExecutor(1) as callers,
    ):
        running.wait_until_ready()
        first = callers.submit(running.examine, as_image(image, "sleep"), LIMITS)
        while running._free._value:
            assert not first.done()
        with pytest.raises(DecodersBusy):
            running.examine(image, LIMITS)
        assert isinstance(first.exception(30), DecoderSlow)
        assert running.examine(image, LIMITS).verdict.reason is None


def test_killed_decoders_are_started_again(image):
    """After kill -9 of their parent the next image is decoded by new ones."""
    with Decoders(at_once=1, seconds=30, max_pixels=2**20) as running:
        running.examine(image, LIMITS)
        first = running._parent._process
        first.kill()
        first.wait()
        assert running.examine(image, LIMITS).verdict.reason is None
        assert running._parent._process.pid != first.pid


def test_nothing_is_left_when_they_are_closed(image):
    """Neither processes nor descriptors remain."""

    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    with Decoders(at_once=2, seconds=30, max_pixels=2**20) as running:
        running.examine(image, LIMITS)
        children = children_of(running._parent._process.pid)
        assert children
    deadline = time.monotonic() + 10
    while any(lives(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert descriptors() == before


def children_of(pid):
    """The processes whose parent this is."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid):
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
