"""Compute the template of py, or measure validation: python benchmarks/selection.py.

selection.py template          print TEMPLATE_HALF, computed from phantoms alone (seeds 100..339)
selection.py measure [FOLDER]  validation on phantoms and on the real images in FOLDER (../shared/data)
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate, zoom

from dicom import phantom
from dicom.errors import DicomError
from dicom.pixels.frame import Frame, PixelLimits, load_frame
from dicom.selection.plausibility import judge, ranked

Picture = NDArray[np.float32]
CELLS = 16
IMAGES_OF_EACH = 6
RIDGE_PENALTY = 5000
LIMITS = PixelLimits(max_pixels=64 * 2**20, max_bytes=512 * 2**20)


def frontal_phantom(seed: int) -> Picture:
    findings = phantom.random_findings(np.random.default_rng(seed)) if seed % 4 else ()
    view = "PA" if seed % 2 else "AP"
    return brightness(phantom.draw(seed, rows=256, columns=256, view=view, findings=findings))


def brightness(image: phantom.Phantom) -> Picture:
    return (image.pixels / (2**image.bits_stored - 1)).astype(np.float32)


def varied(image: Picture, rng: np.random.Generator) -> Picture:
    """Return the image with other position, collimation and exposure, sometimes with one side white."""
    height, width = image.shape
    rows, columns = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    if rng.random() < 0.35:
        side = (columns < 0.5) == (rng.random() < 0.5)
        side &= (rows > rng.uniform(0.1, 0.6)) & (np.abs(columns - 0.5) < 0.42)
        white = gaussian_filter(side.astype(np.float32), height / 20) * rng.uniform(0.3, 0.95)
        image = image * (1 - white) + white * np.percentile(image, rng.uniform(70, 95))
    if rng.random() < 0.6:
        heel = zoom(rng.normal(0, 1, (3, 3)), (height / 3, width / 3), order=1)
        heel = np.pad(heel, ((0, height - heel.shape[0]), (0, width - heel.shape[1])), mode="edge")
        image = image + heel * rng.uniform(0, 0.44) * image.std()
    if rng.random() < 0.3:
        image = np.clip(image, *np.percentile(image, (rng.uniform(0, 15), rng.uniform(85, 100))))
    cut = rng.uniform(0, 0.17, 4)
    image = image[int(cut[0] * height) : int(height - cut[1] * height)]
    image = image[:, int(cut[2] * width) : int(width - cut[3] * width)]
    if rng.random() < 0.3:
        border = (rng.uniform(0, 0.15, (2, 2)) * height).astype(int)
        image = np.pad(image, border)
    tilted = rotate(image[::3, ::3], rng.uniform(-12, 12), reshape=False, order=1, mode="nearest")
    return np.ascontiguousarray(tilted, dtype=np.float32)


def turns(cells: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.float64], float]]:
    """Yield the cells upright with the target 1, then the seven turns and negatives with -1/7."""
    for quarter in range(4):
        for sign in (1, -1):
            upright = quarter == 0 and sign == 1
            yield (sign * np.rot90(cells, quarter)).ravel(), 1.0 if upright else -1 / 7


def template() -> None:
    """Print the left half of the weights of a ridge regression on `turns` of the varied phantoms."""
    rng = np.random.default_rng(1)
    images = (frontal_phantom(seed) for seed in range(100, 340))
    seen = [varied(image, rng) for image in images for _ in range(IMAGES_OF_EACH)]
    rows = [row for image in seen for row in turns(ranked(image, CELLS) - 0.5)]
    cells = np.asarray([cell for cell, _ in rows])
    targets = np.asarray([target for _, target in rows])
    weights = np.linalg.solve(
        cells.T @ cells + RIDGE_PENALTY * np.eye(CELLS**2), cells.T @ targets
    ).reshape(CELLS, CELLS)
    half = ((weights + weights[:, ::-1]) / 2)[:, : CELLS // 2]
    for line in np.rint(half * 1e4).astype(int):
        print(f"    ({', '.join(f'{weight:d}' for weight in line)}),")


def verdicts(name: str, images: list[Picture]) -> None:
    for label, change in (
        ("as it is", lambda image: image),
        ("mirrored", lambda image: image[:, ::-1]),
        ("negative", lambda image: 1 - image),
        ("turned 90", np.rot90),
        ("turned 180", lambda image: np.rot90(image, 2)),
        ("turned 270", lambda image: np.rot90(image, 3)),
    ):
        found = Counter(
            judge(Frame(pixels=np.ascontiguousarray(change(image)))).reason or "read"
            for image in images
        )
        print(f"{name:12} {label:11} {len(images):4d}  {dict(found)}")


def measure(folder: Path) -> None:
    """Print how often each verdict is given, for real and synthetic images, as they are and turned."""
    pictures = sorted(folder.glob("labelled/images/*.png"))
    verdicts(
        "labelled",
        [np.asarray(Image.open(p).convert("L"), np.float32) / 255 for p in pictures],
    )
    verdicts("phantoms", [frontal_phantom(seed) for seed in range(400, 460)])
    lateral = [brightness(phantom.draw_lateral(s, rows=256, columns=256)) for s in range(400, 460)]
    verdicts("laterals", lateral)
    for path in sorted([*folder.glob("cxr-dicom/*.dcm"), *folder.glob("not-chest/*.dcm")]):
        verdict = judge(load_frame(path, LIMITS))
        print(f"{path.name:60} {verdict.reason or 'read'} {verdict.measured}")
    for path in sorted(folder.glob("edge-cases/cxr-malformed/*.dcm")):
        try:
            found = judge(load_frame(path, LIMITS)).reason or "read"
        except DicomError as error:
            found = str(error)
        print(f"{path.name:60} {found}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["template"]:
        template()
    else:
        beside = Path(__file__).parents[2] / "shared" / "data"
        measure(Path(sys.argv[2]) if sys.argv[2:] else beside)
