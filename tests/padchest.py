"""The table of PadChest's studies, from the wheel of torchxrayvision: for tests only, never shipped.

The wheel comes from the package registry into build/padchest, checked against its digest; nothing of it
is installed or run.
"""

import csv
import gzip
import hashlib
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

_BUILD: Final = Path(__file__).parents[1] / "build" / "padchest"
_WHEEL: Final = "torchxrayvision-1.5.7-py3-none-any.whl"
_SHA256: Final = "95f6c3475661f3515d4258deb0855bd5d1b1a56e0b65384251d3dd3fa61fac41"
_TABLE: Final = "torchxrayvision/data/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
_LABEL: Final = re.compile(r"'([^']*)'")
# Other projections are lateral or oblique.
_FRONTAL: Final = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP"}


@dataclass(frozen=True, slots=True)
class PadChestImage:
    """A frontal image.

    Attributes:
        day: YYYY-MM-DD.
        view: PA or AP.
        device: Its manufacturer.
        labels: What the report states; one without labels has none.
    """

    day: str
    view: str
    device: str
    labels: frozenset[str]


def padchest_images() -> list[PadChestImage]:
    """Return the 110,633 frontal images in the order of their days, or skip the test."""
    with zipfile.ZipFile(_wheel()) as wheel:
        content = gzip.decompress(wheel.read(_TABLE)).decode()
    images = _frontal(csv.DictReader(io.StringIO(content)))
    return sorted(images, key=lambda image: image.day)


def _frontal(rows: Iterator[Mapping[str, str]]) -> Iterator[PadChestImage]:
    for row in rows:
        view = _FRONTAL.get(row["Projection"])
        if view is not None:
            date = row["StudyDate_DICOM"]
            yield PadChestImage(
                day=f"{date[:4]}-{date[4:6]}-{date[6:]}",
                view=view,
                device=row["Manufacturer_DICOM"],
                labels=frozenset(label.strip() for label in _LABEL.findall(row["Labels"])),
            )


def _wheel() -> Path:
    path = _BUILD / _WHEEL
    if not path.exists():
        _download()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == _SHA256, f"{path} is another file"
    return path


def _download() -> None:
    """Download the wheel without its dependencies; pip checks the digest."""
    _BUILD.mkdir(parents=True, exist_ok=True)
    wanted = _BUILD / "requirements.txt"
    wanted.write_text(f"torchxrayvision==1.5.7 --hash=sha256:{_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--requirement", wanted, "--dest", _BUILD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    if done.returncode:
        assert "DO NOT MATCH" not in done.stderr, done.stderr
        pytest.skip(f"torchxrayvision cannot be downloaded here: {done.stderr.strip()[-200:]}")
