"""The synthetic chest images: drawn the same each time, true about where their findings are."""

import hashlib
import subprocess
import sys
from statistics import median

import numpy as np
import pytest
from PIL import Image

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom import (
    Phantom,
    PhantomFinding,
    draw,
    draw_lateral,
    inverted,
    mirrored,
    random_findings,
    turned,
)
from dicom.phantom.chest import LOBAR
from dicom.phantom.mixture import visible

LATERAL = (
    Observation.ATELECTASIS,
    Observation.CONSOLIDATION,
    Observation.PLEURAL_EFFUSION,
    Observation.PNEUMOTHORAX,
)


def image(seed: int, *findings: PhantomFinding, view: str = "PA") -> Phantom:
    """A small image of the findings."""
    return draw(seed, rows=256, columns=256, findings=findings, view=view)


def change(seed: int, finding: PhantomFinding, *, view: str = "PA") -> tuple[float, float]:
    """Mean change of brightness in per cent of full scale inside and outside the finding's mask."""
    with_it, without = image(seed, finding, view=view), image(seed, view=view)
    difference = np.abs(with_it.pixels.astype(float) - without.pixels) / 40.95
    mask = with_it.truths[0].mask
    return float(difference[mask].mean()), float(difference[~mask].mean())


def test_the_same_arguments_draw_the_same_image_in_another_process():
    """Nothing but the arguments decides the pixels: another interpreter draws them alike."""
    code = (
        "import hashlib; from dicom.phantom import draw, PhantomFinding;"
        "from dicom.content.report import Observation;"
        "f = (PhantomFinding(observation=Observation.EDEMA),);"
        "p = draw(11, rows=200, columns=180, findings=f);"
        "print(hashlib.sha256(p.pixels.tobytes() + p.truths[0].mask.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    here = draw(
        11, rows=200, columns=180, findings=(PhantomFinding(observation=Observation.EDEMA),)
    )
    own = hashlib.sha256(here.pixels.tobytes() + here.truths[0].mask.tobytes()).hexdigest()
    assert other.stdout.strip() == own


def test_drawing_leaves_the_global_random_state_alone():
    """NumPy's global random state of the calling code is not changed."""
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    image(1)
    assert np.array_equal(before, np.random.get_state()[1])


def test_two_seeds_are_two_people():
    """Another seed gives another image."""
    assert not np.array_equal(image(1).pixels, image(2).pixels)


@pytest.mark.parametrize("bits", range(8, 17))
def test_every_bit_depth_is_filled_and_kept(bits: int):
    """Pixels use most of the range of their depth and never leave it."""
    drawn = draw(3, rows=128, columns=128, bits_stored=bits)
    assert drawn.pixels.dtype == np.uint16
    assert drawn.pixels.max() < 1 << bits
    assert drawn.pixels.max() > 0.8 * (1 << bits)
    assert drawn.pixels.min() < 0.1 * (1 << bits)


@pytest.mark.parametrize(
    ("rows", "columns"), [(64, 64), (128, 128), (131, 257), (600, 200), (200, 600), (1500, 1201)]
)
def test_every_size_shows_the_same_chest(rows: int, columns: int):
    """Lungs are darker than the mediastinum between them and the abdomen below, at any size."""
    findings = (PhantomFinding(observation=Observation.CARDIOMEGALY),)
    drawn = draw(8, rows=rows, columns=columns, findings=findings)
    assert drawn.pixels.shape == drawn.truths[0].mask.shape == (rows, columns)
    short = min(rows, columns)
    top, middle = round(0.35 * (rows - short)), columns // 2
    row = slice(top + round(0.33 * short), top + round(0.42 * short))

    def tone(left: float, right: float) -> float:
        columns_ = slice(middle + round(left * short), middle + round(right * short))
        return float(drawn.pixels[row, columns_].mean())

    spine = tone(-0.03, 0.03)
    assert max(tone(-0.28, -0.16), tone(0.16, 0.28)) < 0.8 * spine


@pytest.mark.slow
def test_an_image_of_three_thousand_pixels_can_be_drawn():
    """Detector-sized images are drawn too."""
    assert draw(1, rows=3000, columns=2500).pixels.shape == (3000, 2500)


@pytest.mark.parametrize(
    "wrong",
    [{"rows": 63}, {"columns": 9000}, {"bits_stored": 7}, {"bits_stored": 17}],
)
def test_what_cannot_be_drawn_is_refused(wrong: dict[str, int]):
    """Sizes and depths outside the range raise ValueError, before anything is allocated."""
    with pytest.raises(ValueError, match="a phantom has"):
        draw(1, **wrong)
    with pytest.raises(ValueError, match="a phantom has"):
        draw_lateral(1, **wrong)


def test_findings_that_cannot_be_drawn_are_refused():
    """Only the six findings are drawn, and extents lie in 0..1."""
    with pytest.raises(ValueError, match="cannot show"):
        PhantomFinding(observation=Observation.FRACTURE)
    with pytest.raises(ValueError, match="extent"):
        PhantomFinding(observation=Observation.EDEMA, extent=1.2)


@pytest.mark.parametrize("view", ["PA", "AP"])
@pytest.mark.parametrize("observation", CODED_OBSERVATIONS)
@pytest.mark.parametrize("extent", [0.0, 0.5, 1.0])
def test_a_finding_changes_its_mask_far_more_than_the_rest(
    observation: Observation, extent: float, view: str
):
    """The mask is where the image differs from the same person's normal image."""
    finding = PhantomFinding(observation=observation, extent=extent)
    for seed in (21, 22):
        inside, outside = change(seed, finding, view=view)
        assert inside > 1.5
        assert inside > 4 * outside


@pytest.mark.parametrize("observation", LATERAL)
@pytest.mark.parametrize("side", [Side.RIGHT, Side.LEFT, Side.BILATERAL])
def test_the_patients_right_is_on_the_images_left(observation: Observation, side: Side):
    """Masks lie on the side asked for, on both sides when bilateral."""
    for seed in range(30, 34):
        finding = PhantomFinding(observation=observation, side=side, extent=0.4)
        (truth,) = image(seed, finding).truths
        left_half = truth.mask[:, :128].sum() / truth.mask.sum()
        assert truth.side is side
        if side is Side.BILATERAL:
            assert 0.2 < left_half < 0.8
        else:
            assert (left_half > 0.85) == (side is Side.RIGHT)
            assert (left_half < 0.15) == (side is Side.LEFT)


@pytest.mark.parametrize("observation", LATERAL)
def test_without_a_side_the_seed_chooses_one(observation: Observation):
    """Over several seeds both sides occur, and the truth states which."""
    sides = {
        draw(seed, rows=64, columns=64, findings=(PhantomFinding(observation=observation),))
        .truths[0]
        .side
        for seed in range(12)
    }
    assert sides == {Side.RIGHT, Side.LEFT}


@pytest.mark.parametrize("zone", ["upper", "middle", "lower"])
def test_a_consolidation_lies_in_its_zone(zone: str):
    """The zone's name is the site, and upper lies above middle above lower."""
    finding = PhantomFinding(
        observation=Observation.CONSOLIDATION, side=Side.RIGHT, extent=0.4, zone=zone
    )
    centers = []
    for seed in range(50, 54):
        (truth,) = image(seed, finding).truths
        assert truth.site == f"{zone} zone"
        centers.append(np.nonzero(truth.mask)[0].mean() / 256)
    low, high = {"upper": (0.15, 0.38), "middle": (0.33, 0.53), "lower": (0.48, 0.72)}[zone]
    assert low < median(centers) < high


def test_the_heart_is_half_the_chest_only_in_cardiomegaly():
    """The cardiothoracic ratio is below 0.5 without and above 0.5 with cardiomegaly, PA and AP."""
    for seed in range(40):
        view = "AP" if seed % 3 == 0 else "PA"
        large = PhantomFinding(observation=Observation.CARDIOMEGALY, extent=seed / 39)
        assert 0.35 < draw(seed, rows=64, columns=64, view=view).cardiothoracic_ratio < 0.5
        assert (
            draw(seed, rows=64, columns=64, findings=(large,), view=view).cardiothoracic_ratio > 0.5
        )


def test_the_hearts_mask_is_as_wide_as_the_ratio_states():
    """Mask and ratio agree: the greatest width of the mask grows with the extent."""
    widths = []
    for extent in (0.0, 0.5, 1.0):
        finding = PhantomFinding(observation=Observation.CARDIOMEGALY, extent=extent)
        drawn = image(60, finding)
        width = drawn.truths[0].mask.sum(axis=1).max() / 256
        widths.append(width / drawn.cardiothoracic_ratio)
    assert max(widths) - min(widths) < 0.04 * widths[0]


def test_the_heart_points_to_the_patients_left():
    """More of the heart lies on the image's right of the spine."""
    (truth,) = image(61, PhantomFinding(observation=Observation.CARDIOMEGALY)).truths
    columns = np.nonzero(truth.mask)[1]
    assert columns.mean() > 128


def test_a_pneumothorax_is_darker_and_an_effusion_brighter():
    """Free air lets more light through than lung, fluid less."""
    normal = image(70).pixels.astype(float)
    for observation, sign in ((Observation.PNEUMOTHORAX, -1), (Observation.PLEURAL_EFFUSION, 1)):
        drawn = image(70, PhantomFinding(observation=observation, extent=0.5))
        mask = drawn.truths[0].mask
        assert sign * (drawn.pixels[mask].mean() - normal[mask].mean()) > 60


def test_several_findings_each_keep_their_truth():
    """Truths come in the order asked for, each with a mask of its own."""
    findings = tuple(
        PhantomFinding(observation=observation, extent=0.3) for observation in CODED_OBSERVATIONS
    )
    truths = image(80, *findings).truths
    assert [truth.observation for truth in truths] == list(CODED_OBSERVATIONS)
    assert all(truth.mask.any() and truth.site for truth in truths)


def test_random_findings_are_a_mixture_with_normal_images():
    """A third to a half are normal, each of the six occurs, none twice on an image."""
    rng = np.random.default_rng(4)
    drawn = [random_findings(rng) for _ in range(600)]
    kinds = [{finding.observation for finding in findings} for findings in drawn]
    assert 0.3 < sum(not findings for findings in drawn) / 600 < 0.5
    assert set.union(*kinds) == set(CODED_OBSERVATIONS)
    assert all(len(kind) == len(findings) for kind, findings in zip(kinds, drawn, strict=True))
    again = np.random.default_rng(4)
    assert drawn == [random_findings(again) for _ in range(600)]


def test_a_lateral_image_has_no_two_lungs():
    """A lateral image has other pixels, states its view, and has no finding."""
    side = draw_lateral(5, rows=200, columns=200)
    assert (side.view, side.truths) == ("LL", ())
    assert side.pixels.shape == (200, 200)
    frontal = draw(5, rows=200, columns=200)
    mirror = np.corrcoef(side.pixels.ravel(), side.pixels[:, ::-1].ravel())[0, 1]
    frontal_mirror = np.corrcoef(frontal.pixels.ravel(), frontal.pixels[:, ::-1].ravel())[0, 1]
    assert mirror < 0.8 < frontal_mirror


def test_odd_images_are_the_plain_one_transformed():
    """Negatives, turned and mirrored images are exact, masks with them."""
    finding = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.RIGHT)
    plain = draw(6, rows=128, columns=160, findings=(finding,))
    assert np.array_equal(inverted(inverted(plain)).pixels, plain.pixels)
    assert inverted(plain).pixels[0, 0] == 4095 - plain.pixels[0, 0]
    quarter = turned(plain, 1)
    assert quarter.pixels.shape == quarter.truths[0].mask.shape == (160, 128)
    assert quarter.pixels[0, -1] == plain.pixels[0, 0]
    assert np.array_equal(turned(plain, 4).pixels, plain.pixels)
    assert mirrored(plain).truths[0].mask[:, 80:].sum() > 0.8 * plain.truths[0].mask.sum()


def test_tones_are_those_of_real_images(shared_data):
    """The median histogram of phantoms follows that of 138 real images within a tenth of the range."""

    def quantiles(images):
        return np.median([np.percentile(image, [10, 25, 50, 75, 90]) for image in images], axis=0)

    files = sorted((shared_data / "labelled" / "images").glob("*.png"))
    real = quantiles(np.asarray(Image.open(file)) / 255 for file in files)
    rng = np.random.default_rng(9)
    drawn = quantiles(
        draw(seed, rows=128, columns=128, findings=random_findings(rng)).pixels / 4095
        for seed in range(60)
    )
    assert np.abs(real - drawn).max() < 0.1


@pytest.mark.parametrize("extent", [0.1, 0.5, 1.0])
def test_no_fluid_hides_an_atelectasis(extent: float):
    """Where fluid and atelectasis are on one side, the plates lie above the fluid."""
    wet = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.LEFT, extent=extent)
    flat = PhantomFinding(observation=Observation.ATELECTASIS, side=Side.LEFT, extent=0.5)
    for seed in range(8):
        image = draw(seed, rows=256, columns=256, findings=(wet, flat))
        masks = {truth.observation: truth.mask for truth in image.truths}
        plates = masks[Observation.ATELECTASIS]
        assert plates.any()
        hidden = plates & masks[Observation.PLEURAL_EFFUSION]
        assert hidden.sum() < 0.05 * plates.sum(), seed


def test_no_lobe_collapses_under_fluid():
    """Of a collapsed lobe and fluid on one side, the lobe is drawn as plates."""
    wet = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.LEFT)
    lobe = PhantomFinding(observation=Observation.ATELECTASIS, side=Side.BILATERAL, extent=0.9)
    other = PhantomFinding(observation=Observation.ATELECTASIS, side=Side.RIGHT, extent=0.9)
    assert visible([wet, lobe])[1].extent < LOBAR
    assert visible([wet, other])[1].extent == 0.9
