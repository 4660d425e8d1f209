"""Synthetic images as the service gives them to the model, with their labels.

An image takes the real path: phantom, DX object, file, `dicom.pixels.frame.load_frame`, 8 bits,
LANCZOS. So bit depth, window, MONOCHROME1, size and aspect act on training exactly as they do on
reading.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom import Phantom, PhantomFinding, as_dataset, draw, random_findings, write
from dicom.phantom.chest import ZONES
from dicom.phantom.mixture import visible
from dicom.pixels.frame import PixelLimits, load_frame
from workers.model.preprocess import center_square, gray_image

EDGE: Final = 160  # pixels of an edge of the model's image
MASK_EDGE: Final = 40  # cells of an edge of a finding's mask
_LIMITS: Final = PixelLimits(max_pixels=2**24, max_bytes=2**27)
_CHUNK: Final = 100  # images that a process draws at a time
_SIZES: Final = (160, 192, 224, 256, 288, 320, 384, 512, 768, 1024)
_SIZE_CHANCES: Final = (0.08, 0.15, 0.15, 0.22, 0.12, 0.1, 0.07, 0.07, 0.02, 0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An image to be drawn; the seed chooses nothing that the plan states.

    Attributes:
        seed: Seed of the phantom's anatomy.
        findings: With explicit sides and zones: they are the labels.
        rows: Rows of the image.
        columns: Columns of the image.
        bits_stored: 8 to 16.
        view: "PA" or "AP".
        negative: Whether it is stored as MONOCHROME1.
        window: Center and width as fractions of the stored range, or None for no window.
    """

    seed: int
    findings: tuple[PhantomFinding, ...]
    rows: int
    columns: int
    bits_stored: int
    view: Literal["PA", "AP"]
    negative: bool
    window: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingImages:
    """Images and their labels, in the order of their plans.

    Attributes:
        gray: uint8 [N, 160, 160], preprocessed for the model but not normalized.
        masks: uint8 [N, 6, 40, 40], how much of each cell a finding covers, 255 for all of it.
        plans: The plans of the images.
    """

    gray: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    plans: tuple[Plan, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.plans)

    @classmethod
    def drawn(
        cls,
        seeds: Sequence[int],
        cache: Path,
        *,
        processes: int = 2,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Self:
        """Return the images of `seeds`, from `cache` if they were drawn before.

        Args:
            seeds: Seeds of the plans.
            cache: Folder of finished chunks; an interrupted run continues from it.
            processes: Number of processes that draw.
            progress: Called with the number of finished images after each chunk.
        """
        cache.mkdir(parents=True, exist_ok=True)
        chunks = [tuple(seeds[i : i + _CHUNK]) for i in range(0, len(seeds), _CHUNK)]
        missing = [chunk for chunk in chunks if not _chunk_path(cache, chunk).exists()]
        done = len(chunks) - len(missing)
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for number, _ in enumerate(
                pool.imap_unordered(_draw_chunk, [(cache, chunk) for chunk in missing]), 1
            ):
                progress(min((done + number) * _CHUNK, len(seeds)))
        loaded = [np.load(_chunk_path(cache, chunk)) for chunk in chunks]
        return cls(
            gray=np.concatenate([one["gray"] for one in loaded]),
            masks=np.concatenate([one["masks"] for one in loaded]),
            plans=tuple(plan(seed) for seed in seeds),
        )


def plan(seed: int) -> Plan:
    """Return the plan of `seed`, always the same: half as on a typical day, half arbitrary mixtures."""
    rng = np.random.default_rng([seed, 77])
    findings = random_findings(rng, normal=0.35) if rng.random() < 0.5 else _any_findings(rng)
    shorter = int(rng.choice(_SIZES, p=_SIZE_CHANCES))
    longer = shorter if rng.random() < 0.4 else round(shorter * float(rng.uniform(1.0, 1.28)))
    rows, columns = (longer, shorter) if rng.random() < 0.7 else (shorter, longer)
    return Plan(
        seed=seed,
        findings=findings,
        rows=rows,
        columns=columns,
        bits_stored=int(rng.choice([8, 10, 12, 14, 16], p=[0.15, 0.2, 0.4, 0.15, 0.1])),
        view="AP" if rng.random() < 0.3 else "PA",
        negative=bool(rng.random() < 0.25),
        window=_window(rng),
    )


def _any_findings(rng: np.random.Generator) -> tuple[PhantomFinding, ...]:
    """Return findings that are independent of each other, some of them on both sides."""
    found = []
    for observation in CODED_OBSERVATIONS:
        if rng.random() > 0.3:
            continue
        sides = rng.choice([Side.RIGHT, Side.LEFT, Side.BILATERAL], p=[0.44, 0.44, 0.12])
        side: Side | None = Side(str(sides))
        if observation is Observation.CARDIOMEGALY:
            side = None
        elif observation is Observation.EDEMA:
            side = Side.BILATERAL
        found.append(
            PhantomFinding(
                observation=observation,
                side=side,
                extent=round(float(rng.beta(1.3, 1.6)), 3),
                zone=ZONES[int(rng.integers(3))]
                if observation is Observation.CONSOLIDATION
                else None,
            )
        )
    order = rng.permutation(len(found))
    return visible([found[int(i)] for i in order])


def _window(rng: np.random.Generator) -> tuple[float, float] | None:
    chance = rng.random()
    if chance < 0.12:
        return None
    if chance < 0.65:
        return (0.5, 1.0)
    return (float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.65, 1.3)))


def image(plan: Plan) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the model's image for a plan, uint8 [160, 160], and its masks; see `TrainingImages`."""
    phantom = phantom_of(plan)
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = write_image(phantom, plan, Path(folder) / "image.dcm")
        frame = load_frame(path, _LIMITS)
    return np.asarray(center_square(gray_image(frame.pixels), EDGE)), _masks(phantom)


def phantom_of(plan: Plan) -> Phantom:
    """Return the phantom of a plan."""
    return draw(
        plan.seed,
        rows=plan.rows,
        columns=plan.columns,
        bits_stored=plan.bits_stored,
        findings=plan.findings,
        view=plan.view,
    )


def write_image(phantom: Phantom, plan: Plan, path: Path) -> Path:
    """Write the DX object of `phantom` to `path`, as `plan` states; return `path`."""
    top = float(1 << plan.bits_stored)
    window: Literal["none"] | tuple[float, float] = "none"
    if plan.window is not None:
        center, width = plan.window
        window = (center * top, width * top)
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = (
        "MONOCHROME1" if plan.negative else "MONOCHROME2"
    )
    return write(as_dataset(phantom, photometric=photometric, window=window), path)


def _memory() -> Path | None:
    """Return a folder in memory if there is one: a file is written only to be read once."""
    shared = Path("/dev/shm")  # noqa: S108 - a fresh folder with a random name is made in it
    return shared if os.access(shared, os.W_OK) else None


def _masks(phantom: Phantom) -> NDArray[np.uint8]:
    masks = np.zeros((len(CODED_OBSERVATIONS), MASK_EDGE, MASK_EDGE), np.uint8)
    for truth in phantom.truths:
        image = Image.fromarray(truth.mask.astype(np.uint8) * 255)
        masks[CODED_OBSERVATIONS.index(truth.observation)] = np.asarray(
            center_square(image, MASK_EDGE, Image.Resampling.BOX)
        )
    return masks


def _draw_chunk(task: tuple[Path, tuple[int, ...]]) -> None:
    cache, seeds = task
    pairs = [image(plan(seed)) for seed in seeds]
    path = _chunk_path(cache, seeds)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez(
            file, gray=np.stack([gray for gray, _ in pairs]), masks=np.stack([m for _, m in pairs])
        )
    unfinished.replace(path)


def _chunk_path(cache: Path, seeds: tuple[int, ...]) -> Path:
    return cache / f"images-{seeds[0]}-{len(seeds)}.npz"


def chunks(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover `count` in order."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
