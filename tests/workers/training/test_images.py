"""TrainingImages for training are what the service would show the model."""

import dataclasses

import numpy as np
import pytest

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom import PhantomFinding
from workers.training.images import MASK_EDGE, TrainingImages, image, plan

BIG_LEFT = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.LEFT, extent=0.9)


@pytest.fixture(scope="module")
def square():
    """A plain plan: PA, 256 pixels, 12 bits, full window."""
    return dataclasses.replace(
        plan(3),
        findings=(BIG_LEFT,),
        rows=256,
        columns=256,
        bits_stored=12,
        view="PA",
        negative=False,
        window=(0.5, 1.0),
    )


def test_a_seed_is_a_plan():
    """The same seed plans the same image; plans differ in size, depth, polarity, window and findings."""
    assert plan(5) == plan(5)
    plans = [plan(seed) for seed in range(300)]
    assert {one.negative for one in plans} == {True, False}
    assert {one.view for one in plans} == {"PA", "AP"}
    assert len({one.bits_stored for one in plans}) == 5
    assert any(one.rows != one.columns for one in plans)
    assert any(one.window is None for one in plans)
    assert {finding.observation for one in plans for finding in one.findings} == set(
        CODED_OBSERVATIONS
    )
    assert {len(one.findings) for one in plans} >= {0, 1, 2, 3}


def test_the_same_image_whatever_its_polarity_and_depth(square):
    """MONOCHROME1 and more bits change what is shown by rounding only."""
    gray, _ = image(square)
    for other in ({"negative": True}, {"bits_stored": 16}, {"window": None}):
        shown, _ = image(dataclasses.replace(square, **other))
        assert np.abs(shown.astype(int) - gray.astype(int)).max() <= 2


def test_a_large_image_looks_like_a_small_one(square):
    """What is drawn small for speed is what a large image becomes: a few gray levels apart."""
    gray, _ = image(square)
    large, _ = image(dataclasses.replace(square, rows=1024, columns=1024))
    assert np.abs(large.astype(int) - gray.astype(int)).mean() < 6


def test_masks_lie_where_the_finding_is(square):
    """An effusion of the patient's left lies in the image's lower right, others are empty."""
    _, masks = image(square)
    column = CODED_OBSERVATIONS.index(Observation.PLEURAL_EFFUSION)
    rows, columns = np.nonzero(masks[column] > 127)
    assert rows.mean() > MASK_EDGE / 2
    assert columns.mean() > MASK_EDGE / 2
    assert not masks[[n for n in range(6) if n != column]].any()


def test_drawn_images_are_taken_from_the_cache(tmp_path):
    """A second request draws nothing and gives the same images."""
    seeds = range(7, 11)
    first = TrainingImages.drawn(seeds, tmp_path, processes=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = TrainingImages.drawn(seeds, tmp_path, processes=1)
    assert len(first) == len(seeds)
    assert (first.gray == second.gray).all()
    assert (first.masks == second.masks).all()
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
