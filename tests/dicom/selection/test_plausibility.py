"""Pixel validation: upright frontal chests pass, everything else is refused with the right reason."""

import csv
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy.stats import rankdata

from dicom import phantom
from dicom.pixels.frame import Frame, PixelLimits, load_frame
from dicom.reasons import Reason
from dicom.selection.plausibility import average_ranks, judge

LIMITS = PixelLimits(max_pixels=64 * 2**20, max_bytes=256 * 2**20)
SEEDS = range(1000, 1012)


def framed(pixels):
    """Return a Frame of float pixels."""
    return Frame(pixels=np.ascontiguousarray(pixels, np.float32))


def brightness(image):
    """Return a phantom's pixels in 0..1."""
    return (image.pixels / (2**image.bits_stored - 1)).astype(np.float32)


@pytest.fixture(scope="module")
def frontal_phantoms():
    """Twelve people, PA and AP, healthy and ill."""
    rng = np.random.default_rng(5)
    return [
        brightness(
            phantom.draw(
                seed,
                rows=320,
                columns=288,
                view="PA" if seed % 2 else "AP",
                findings=phantom.random_findings(rng),
            )
        )
        for seed in SEEDS
    ]


@pytest.fixture(scope="module")
def labelled_images(shared_data):
    """The 138 real frontal images."""
    rows = list(csv.DictReader((shared_data / "labelled" / "labels.csv").open()))
    paths = [shared_data / "labelled" / row["file"] for row in rows]
    return [np.asarray(Image.open(path).convert("L"), np.float32) / 255 for path in paths]


def reasons(images, change=lambda image: image):
    """Return how often each reason is given for changed images."""
    return Counter(judge(framed(change(image))).reason for image in images)


def test_at_most_two_of_a_hundred_real_images_are_refused(labelled_images):
    """138 real frontal images, supine and portable ones among them: false refusals stay under 2 %."""
    found = reasons(labelled_images)
    assert len(labelled_images) == 138
    assert len(labelled_images) - found[None] <= 0.02 * len(labelled_images)


def test_a_mirrored_real_image_is_judged_as_the_image(labelled_images):
    """Left and right are not distinguished."""
    assert reasons(labelled_images, np.fliplr) == reasons(labelled_images)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda image: 1 - image, Reason.INVERTED),
        (np.rot90, Reason.ROTATED),
        (lambda image: np.rot90(image, 2), Reason.ROTATED),
        (lambda image: np.rot90(image, 3), Reason.ROTATED),
    ],
    ids=["negative", "counterclockwise", "upside down", "clockwise"],
)
def test_no_real_image_passes_as_a_negative_or_turned(labelled_images, change, expected):
    """None of 138 is read, and 98 % are refused for the right reason."""
    found = reasons(labelled_images, change)
    assert found[None] == 0
    assert found[expected] >= 0.98 * len(labelled_images)


def test_phantoms_pass_and_their_negatives_and_turns_do_not(frontal_phantoms):
    """Synthetic images of people that the template was not made from behave as real ones."""
    assert reasons(frontal_phantoms) == {None: len(frontal_phantoms)}
    assert reasons(frontal_phantoms, lambda image: 1 - image) == {Reason.INVERTED: 12}
    assert reasons(frontal_phantoms, np.rot90) == {Reason.ROTATED: 12}


def test_the_sentence_states_which_way_an_image_is_turned(frontal_phantoms):
    """An image turned clockwise is reported as turned clockwise."""
    assert "90 degrees clockwise" in judge(framed(np.rot90(frontal_phantoms[0], -1))).sentence
    assert "90 degrees counterclockwise" in judge(framed(np.rot90(frontal_phantoms[0]))).sentence
    assert "180 degrees" in judge(framed(np.rot90(frontal_phantoms[0], 2))).sentence


def test_lateral_phantoms_are_not_frontal():
    """At most one in ten synthetic laterals passes if the tags do not state the view."""
    laterals = [
        brightness(phantom.draw_lateral(seed, rows=320, columns=288)) for seed in range(1000, 1030)
    ]
    assert reasons(laterals)[Reason.NOT_FRONTAL] >= 27


@pytest.mark.parametrize("border", [0.0, 1.0])
def test_a_collimator_s_border_changes_nothing(frontal_phantoms, border):
    """A black or white border of a tenth of the image on each side is ignored."""
    padded = [np.pad(image, 30, constant_values=border) for image in frontal_phantoms]
    assert reasons(padded) == {None: len(padded)}


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_window_and_gamma_change_nothing(frontal_phantoms, gamma):
    """Darker and brighter renderings of the same image pass as well."""
    assert reasons(frontal_phantoms, lambda image: image**gamma) == {None: len(frontal_phantoms)}


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.zeros((300, 300)), Reason.BLANK),
        (np.full((300, 300), 0.7), Reason.BLANK),
        (np.random.default_rng(0).random((300, 300)), Reason.NOT_PLAUSIBLE),
        (np.tile(np.linspace(0, 1, 300), (300, 1)), Reason.ROTATED),
        (np.kron(np.random.default_rng(0).random((8, 8)), np.ones((40, 40))), Reason.NOT_PLAUSIBLE),
        (np.random.default_rng(0).random((20, 400)), Reason.NOT_PLAUSIBLE),
    ],
    ids=["black", "gray", "noise", "ramp", "patches", "strip"],
)
def test_what_shows_no_body_is_refused(pixels, expected):
    """Blank images, noise and drawn patterns are refused; a ramp resembles half a chest on its side."""
    assert judge(framed(pixels)).reason is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("not-chest/highdicom_dog-thorax_dx_mono1.dcm", {Reason.NOT_PLAUSIBLE}),
        ("not-chest/dcm4che_test16signed_chest-tag.dcm", {Reason.NOT_PLAUSIBLE}),
        ("not-chest/nema_RG2_hip_mono2_10bit_j2k.dcm", {Reason.INVERTED, Reason.NOT_PLAUSIBLE}),
        ("cxr-dicom/rsna_pa_header-only-mono1_jpegbaseline8.dcm", {Reason.INVERTED}),
        ("edge-cases/cxr-malformed/wrong_photometric_mono2.dcm", {Reason.INVERTED}),
        ("edge-cases/cxr-malformed/all_black_pixels.dcm", {Reason.BLANK}),
        ("cxr-dicom/canon_dx_pa_mono1_12bit_j2k-lossless.dcm", {None}),
        ("cxr-dicom/udacity_nih_test3.dcm", {None}),
    ],
)
def test_real_pictures_get_their_reason(shared_data, name, expected):
    """Dog, test pattern, hip, negatives and a blank are refused; a destroyed lung is still a chest."""
    assert judge(load_frame(shared_data / name, LIMITS)).reason in expected


def test_the_numbers_that_decided_are_given_back(frontal_phantoms):
    """`measured` holds each measure by name."""
    measured = judge(framed(frontal_phantoms[0])).measured
    assert set(measured) == {"contrast", "flat", "upright", "symmetry", "ridge"}


@pytest.mark.serial
def test_a_large_image_is_judged_quickly(frontal_phantoms):
    """Four megapixels take well under the 150 ms that the whole service may add."""
    image = framed(np.kron(frontal_phantoms[0], np.ones((7, 7))))
    judge(image)
    begun = time.process_time()
    judge(image)
    assert time.process_time() - begun < 0.15


@pytest.mark.parametrize("kinds", [1, 3, 200, 10**6])
def test_ranks_are_those_of_scipy(kinds):
    """Equal values share their mean rank, to the last bit."""
    values = np.random.default_rng(kinds).integers(0, kinds, (40, 30)).astype(np.float32)
    assert np.array_equal(average_ranks(values), rankdata(values).reshape(40, 30))


def test_choosing_an_image_does_not_import_scipy():
    """Each process of the service imports `image_selection`; scipy would add a second to each start."""
    code = "import sys, dicom.selection.image_selection; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
