"""Measure the objects of one study: time of each step, and memory of the whole process.

    python benchmarks/outputs.py [--studies 20] [--json]

Images are phantoms of the size that detectors give. Every object is built, passed through validation and
encoded, as the reading worker does it; nothing is written to disk.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.content.output_kind import OutputKind
from dicom.content.report import (
    DraftReport,
    Finding,
    ModelIdentity,
    Observation,
    Presence,
    Region,
    SourceImage,
)
from dicom.phantom import as_dataset, draw
from dicom.results.annotated_image import overlay_image
from dicom.results.draft_sr import draft_report
from dicom.results.findings_sr import findings_report
from dicom.results.outputs import Equipment, Output, as_file, build, encode
from dicom.results.secondary_capture import overlay, report_page
from dicom.validation.result_object import check

Pixels = NDArray[np.float32]
# Of the memory, 67 MiB are highdicom's table of the Standard (docs/decisions.md).
LIMIT_MS, LIMIT_MIB = 150.0, 300.0
ROWS, COLUMNS = 2500, 2048
EQUIPMENT = Equipment(device_uid="2.25.1", software_version="0.1.0", institution_name="Benchmark")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--in-a-fresh-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_a_fresh_process:
        show_memory()
        return
    phantom = draw(1, rows=ROWS, columns=COLUMNS)
    image = as_dataset(phantom)
    del image.PixelData
    pixels = (phantom.pixels / (2**phantom.bits_stored - 1)).astype(np.float32)
    draft = draft_of(image)
    whole(draft, image, pixels)  # fonts and code tables are loaded once in a process
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "image": f"{ROWS} x {COLUMNS}",
        "all objects": measured(lambda n: whole(revised(draft, n), image, pixels), options.studies),
        "steps": steps(draft, image, pixels, options.studies),
        "memory": memory(),
        "bytes": {o.kind.value: len(encode(o)) for o in build(draft, image, pixels, EQUIPMENT)},
    }
    print(json.dumps(result, indent=1) if options.json else as_text(result))


def whole(draft: DraftReport, image: Dataset, pixels: Pixels) -> None:
    for output in build(draft, image, pixels, EQUIPMENT):
        encode(output)


def steps(
    draft: DraftReport, image: Dataset, pixels: Pixels, studies: int
) -> dict[str, dict[str, float]]:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    made: dict[str, Callable[[], Dataset]] = {
        "draft report": lambda: draft_report(draft, image, EQUIPMENT),
        "findings": lambda: findings_report(draft, image, EQUIPMENT),
        "annotated image": lambda: overlay(draft, image, pixels, EQUIPMENT),
        "report page": lambda: report_page(draft, image, EQUIPMENT),
    }
    found = {name: measured(each_time(make), studies) for name, make in made.items()}
    objects = [make() for make in made.values()]
    drawing = measured(lambda _: overlay_image(draft, pixels, EQUIPMENT, moment), studies)
    found["  of which drawing"] = drawing
    found["gate"] = measured(each_time(lambda: check_all(objects, image)), studies)
    files = [Output(kind=OutputKind.OVERLAY, dataset=as_file(each)) for each in objects]
    found["encoding"] = measured(lambda _: [encode(each) for each in files], studies)
    return found


def each_time(work: Callable[[], object]) -> Callable[[int], object]:
    """Return work for `measured` that does not depend on the study's number."""
    return lambda _: work()


def check_all(objects: list[Dataset], image: Dataset) -> None:
    for each in objects:
        check(each, image)


def measured(work: Callable[[int], object], studies: int) -> dict[str, float]:
    """Return median and worst milliseconds of `work`."""
    spent = []
    for number in range(studies):
        began = time.perf_counter()
        work(number)
        spent.append((time.perf_counter() - began) * 1000)
    return {"median_ms": round(statistics.median(spent), 1), "worst_ms": round(max(spent), 1)}


def memory() -> dict[str, float]:
    """Return resident MiB of a fresh process: with libraries and image, and at most while building."""
    command = [sys.executable, __file__, "--in-a-fresh-process"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def show_memory() -> None:
    """Print what `memory` returns, from the process that is measured."""
    pixels = np.full((ROWS, COLUMNS), 0.5, np.float32)
    image = as_dataset(draw(1, rows=256, columns=256))
    image.Rows, image.Columns = ROWS, COLUMNS
    before = resident_mib("VmRSS")
    whole(draft_of(image), image, pixels)
    # VmHWM: ru_maxrss of a started program begins with what its parent had.
    peak = resident_mib("VmHWM")
    print(json.dumps({"before_mib": round(before, 1), "peak_mib": round(peak, 1)}))


def resident_mib(key: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) / 1024


def revised(draft: DraftReport, number: int) -> DraftReport:
    return replace(draft, revision=number + 1)


def draft_of(image: Dataset) -> DraftReport:
    """Return a draft of the usual length with the six findings, three of them located."""
    observations = list(Observation)[:6]
    findings = tuple(
        Finding(
            observation=observation,
            presence=Presence.PRESENT if number < 3 else Presence.ABSENT,
            score=0.9 - 0.15 * number,
            sentence=f"Sentence about {observation.value}.",
            region=box(200 + 300 * number) if number < 3 else None,
        )
        for number, observation in enumerate(observations)
    )
    return DraftReport(
        study_instance_uid=image.StudyInstanceUID,
        source=SourceImage(
            sop_instance_uid=image.SOPInstanceUID,
            sop_class_uid=image.SOPClassUID,
            series_instance_uid=image.SeriesInstanceUID,
            rows=ROWS,
            columns=COLUMNS,
        ),
        revision=1,
        produced_at=datetime(2026, 3, 4, 9, 15, 30, tzinfo=UTC),
        findings_text=tuple(finding.sentence or "" for finding in findings),
        impression_text=("Cardiomegaly.", "Possible pneumonia in the left lower lobe."),
        findings=findings,
        notes=("Text and scores disagree on edema.",),
        model=ModelIdentity(name="CXR-LLaVA v2", version="2024-07", weights_sha256="ab" * 32),
    )


def box(left: float) -> Region:
    right, top, bottom = left + 500, 900.0, 1500.0
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    return Region(points=corners)


def as_text(result: dict[str, Any]) -> str:
    lines = [f"{result['machine']}, load {result['load']:.1f}, image {result['image']}"]
    rows = {"all objects, built and encoded": result["all objects"], **result["steps"]}
    lines += [
        f"{n:32s} {r['median_ms']:8.1f} ms  worst {r['worst_ms']:8.1f}" for n, r in rows.items()
    ]
    spent, used = result["all objects"]["median_ms"], result["memory"]["peak_mib"]
    lines += [f"{name}: {pairs(result[name])}" for name in ("memory", "bytes")]
    lines.append(f"limits: {LIMIT_MS:g} ms {'kept' if spent < LIMIT_MS else 'BROKEN'}, ")
    lines[-1] += f"{LIMIT_MIB:g} MiB {'kept' if used < LIMIT_MIB else 'BROKEN'}"
    return "\n".join(lines)


def pairs(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


if __name__ == "__main__":
    main()
