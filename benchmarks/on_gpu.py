"""Test a GPU with a model of the published size: parity, speed, memory and faults, as one JSON.

    bash benchmarks/on_gpu.sh [--cpu] [--out on_gpu.json] [--golden DIR] [--without STEP ...]

`on_gpu.sh` prepares a bare machine and calls this. The weights are random and 7 billion in number, in
the published layout; with --cpu the same steps run on the CPU at a small size, to test the script. Each
step is written to the JSON when it ends. Steps that would begin after --seconds are skipped, and named.
Ends with 1 if a step failed. On the CPU, `compiled` takes minutes: --without compiled.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import engine as loop
import numpy as np
import published_layout
import torch
from numpy.typing import NDArray

from workers.model import preprocess
from workers.model.checkpoints import cxr_llava, tiny
from workers.model.checkpoints.cxr_llava import CxrLlava
from workers.model.engine.engine import Engine
from workers.model.errors import Canceled, DeviceError, GenerationError
from workers.model.networks.vector_head import ImageFeatures
from workers.model.placement import Place
from workers.model.prompts import Task
from workers.model.vlm import Decoding

# float32 on a card against float64 on the CPU; TF32, which is off, would give 1e-3 and more.
TOLERANCE = 2e-4
ENOUGH = 0.75  # of the roofline at one in flight
Step = Callable[[], dict[str, Any]]


class Skipped(Exception):
    """A step cannot run on this machine; the message states the reason."""


@dataclass
class Session:
    """The state that the steps share.

    Attributes:
        device: Where the model runs.
        sizes: Sizes for a card, or small ones.
        golden: A golden folder of CXR-LLaVA v2, or None.
        folder: For files.
        ends: Monotonic time after which no step begins.
        out: The JSON.
        without: Names of steps that are left out.
        found: The results of the steps, by name.
        model: The loaded model.
    """

    device: torch.device
    sizes: "Sizes"
    golden: Path | None
    folder: Path
    ends: float
    out: Path
    without: frozenset[str] = frozenset()
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    model: CxrLlava | None = None

    def run(self, name: str, step: Step) -> None:
        """Run a step and write the results so far."""
        begun = time.monotonic()
        if name in self.without or begun > self.ends:
            reason = "left out by --without" if name in self.without else "no time was left"
            result: dict[str, Any] = {"status": "skipped", "reason": reason}
        else:
            result = _judged(step) | {"seconds": round(time.monotonic() - begun, 1)}
        self.found[name] = result
        print(f"{name:<16} {json.dumps(result)}", flush=True)
        self.out.write_text(json.dumps(self.found, indent=2) + "\n", encoding="utf-8")

    def loaded(self) -> CxrLlava:
        """Return the model.

        Raises:
            Skipped: It was not loaded.
        """
        if self.model is None:
            raise Skipped("the model was not loaded")
        return self.model


@dataclass(frozen=True)
class Sizes:
    """The sizes of the model and the runs."""

    model: str
    dtype: torch.dtype
    in_flight: tuple[int, ...]
    new_tokens: int
    plain: int  # reports of the original loop


ON_CARD = Sizes("7b", torch.bfloat16, (1, 16, 32, 64), 128, 4)
ON_CPU = Sizes("small", torch.float32, (1, 2, 4), 8, 2)


def _judged(step: Step) -> dict[str, Any]:
    """Return a step's result with its status; a failed step must not prevent the others."""
    try:
        result = step()
    except Skipped as reason:
        return {"status": "skipped", "reason": str(reason)}
    except Exception as error:  # noqa: BLE001 - the record of a failed step is the purpose
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:500]}
    return {"status": "ok" if result.pop("holds", True) else "failed", **result}


def machine(session: Session) -> dict[str, Any]:
    """Return device, versions and bandwidth."""
    card = session.device.type == "cuda"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name(session.device) if card else "CPU",
        "device_bytes": torch.cuda.get_device_properties(session.device).total_memory
        if card
        else 0,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "bandwidth_bytes_per_second": round(loop.bandwidth(session.device)),
        "load": round(os.getloadavg()[0], 1),
    }


def parity(session: Session) -> dict[str, Any]:
    """Compare float32 on the device with float64 on the CPU: image tokens, and greedy ids."""
    folder = session.golden
    if folder is None:
        folder = tiny.ensure_tiny(session.folder / "tiny")
    here = cxr_llava.load(folder, Place(device=session.device, dtype=torch.float32))
    exact = cxr_llava.load(folder)
    frame = _frames(1)[0]
    ids = [model.answer(frame, Task.REPORT).token_ids for model in (here, exact)]
    tokens = [_image_tokens(model, frame) for model in (here, _in_float64(exact))]
    apart = float((tokens[0] - tokens[1]).abs().max())
    return {
        "checkpoint": "golden" if session.golden else "tiny",
        "largest_difference": apart,
        "tolerance": TOLERANCE,
        "same_ids": ids[0] == ids[1],
        "holds": apart <= TOLERANCE and ids[0] == ids[1],
    }


def _in_float64(model: CxrLlava) -> CxrLlava:
    model.network.double()
    return model


def _image_tokens(model: CxrLlava, frame: NDArray[np.float32]) -> torch.Tensor:
    pixels = torch.from_numpy(model.pixel_values(preprocess.gray_image(frame))).to(model.device)
    with torch.inference_mode():
        return model.network.image_tokens(pixels).double().cpu()


def library(session: Session) -> dict[str, Any]:
    """Compare the demo model as a LLaVA of transformers on the device and on the CPU: the same ids."""
    if find_spec("transformers") is None:
        raise Skipped("transformers is not installed here")
    from workers.model.automodel import loading  # noqa: PLC0415 - on a machine that has the library
    from workers.model.automodel.batches import BatchEngine  # noqa: PLC0415
    from workers.model.profiles.load import load_profile  # noqa: PLC0415
    from workers.training import as_llava  # noqa: PLC0415

    folder = session.folder / "llava"
    as_llava.write(folder)
    profile = load_profile(folder / "profile.toml")
    frames = _frames(4)

    def texts(device: torch.device) -> list[str]:
        running = BatchEngine(loading.load(folder, profile, Place(device=device)), rows=4)
        try:
            with ThreadPoolExecutor(4) as callers:
                ask = lambda frame: running.answer(frame, Task.REPORT).text  # noqa: E731
                return list(callers.map(ask, frames))
        finally:
            running.close()

    return {"reports": len(frames), "holds": texts(session.device) == texts(torch.device("cpu"))}


def written(session: Session) -> dict[str, Any]:
    """Write the checkpoint in the published layout."""
    size = published_layout.write(session.folder / "model", session.sizes.model, session.device)
    return {"size": session.sizes.model, "weights_bytes": size}


def loaded(session: Session) -> dict[str, Any]:
    """Load it as the service does."""
    most = max(session.sizes.in_flight)
    place = Place(
        device=session.device,
        dtype=session.sizes.dtype,
        rows=most,
        new_tokens=session.sizes.new_tokens,
    )
    session.model = cxr_llava.load(session.folder / "model", place)
    return {"format": place.format, "rows": most, **_memory(session)}


def speed(session: Session, *, compiled: bool) -> dict[str, Any]:
    """Measure the engine, and before it the original loop, beside the roofline."""
    model, sizes = session.loaded(), session.sizes
    decoding, frames = Decoding(max_new_tokens=sizes.new_tokens), _frames(64)

    def ask(target: CxrLlava | Engine, number: int) -> None:
        answer = target.answer(frames[number % len(frames)], Task.REPORT, decoding=decoding)
        if len(answer.token_ids) != sizes.new_tokens:
            raise RuntimeError("an answer ended by itself")

    runs = []
    if not compiled:
        ask(model, 0)  # warm
        runs.append(_measured(session, "plain loop", lambda n: ask(model, n), 1, sizes.plain))
    begun = time.monotonic()
    running = Engine(
        model, rows=max(sizes.in_flight), new_tokens=sizes.new_tokens, compiled=compiled,
        step_timeout=600.0,
    )  # fmt: skip
    try:
        ask(running, 0)
        ready = time.monotonic() - begun
        runs += [
            _measured(
                session, str(count), lambda n: ask(running, n), count, max(count, sizes.plain)
            )
            for count in sizes.in_flight
        ]
    finally:
        running.close()
    return {
        "ready_seconds": round(ready, 1),
        "runs": runs,
        **_memory(session),
        **_aims(session, runs),
    }


def _measured(
    session: Session, name: str, ask: Callable[[int], None], count: int, reports: int
) -> dict[str, Any]:
    model, tokens = session.loaded(), session.sizes.new_tokens
    middle = (
        len(model.prompt_ids(model.chat(Task.REPORT))) + model.network.tokens_per_image + tokens / 2
    )
    rate = session.found["machine"]["bandwidth_bytes_per_second"]
    roofline = count / (tokens * loop.step_seconds(model, count, middle, rate))
    run = loop.measured(name, ask, in_flight=count, reports=reports, roofline=roofline)
    return {
        "name": name,
        "reports": reports,
        "reports_per_second": round(run.rate, 4),
        "of_roofline": round(run.rate / roofline, 3),
        "median_seconds": round(float(np.median(run.latencies)), 3),
    }


def _aims(session: Session, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how far the aims of docs/performance.md are met; a missed aim is only reported."""
    first = session.found.get("plain", {}).get("runs", runs)[0]
    best = max(runs, key=lambda run: run["reports_per_second"])
    one = next(run for run in runs if run["name"] == "1")
    return {
        "times_the_original_loop": round(
            best["reports_per_second"] / first["reports_per_second"], 1
        ),
        "roofline_met_at_one": one["of_roofline"] >= ENOUGH,
    }


def quantized(session: Session, kind: str) -> dict[str, Any]:
    """Load with the decoder in a smaller format and read one image."""
    place = Place(device=session.device, dtype=session.sizes.dtype, quantisation=kind)
    if find_spec("bitsandbytes") is None:
        raise Skipped("bitsandbytes is not installed here")
    try:
        model = cxr_llava.load(session.folder / "model", place)
    except DeviceError as error:
        raise Skipped(str(error)) from None
    begun = time.monotonic()
    answer = model.answer(
        _frames(1)[0], Task.REPORT, decoding=Decoding(max_new_tokens=session.sizes.new_tokens)
    )
    return {
        "format": place.format,
        "tokens_per_second": round(len(answer.token_ids) / (time.monotonic() - begun), 1),
        **_memory(session),
    }


def faults(session: Session) -> dict[str, Any]:
    """Ask with an image of NaN, withdraw an answer, exhaust memory: other answers must not change."""
    model = session.loaded()
    decoding, frames = Decoding(max_new_tokens=session.sizes.new_tokens), _frames(8)
    running = Engine(model, rows=8, new_tokens=session.sizes.new_tokens)
    try:
        with ThreadPoolExecutor(8) as callers:
            ask = lambda frame: running.answer(frame, Task.REPORT, decoding=decoding)  # noqa: E731
            before = [one.token_ids for one in callers.map(ask, frames)]
            refused = callers.submit(ask, np.full_like(frames[0], np.nan))
            beside = callers.submit(ask, frames[1])
            nan = isinstance(refused.exception(), GenerationError)
            canceled = _canceled(running, frames[0], decoding)
            with _little_memory(model):
                split = [one.token_ids for one in callers.map(ask, frames)]
            unharmed = len(beside.result().token_ids) == len(before[1])
    finally:
        running.close()
    ended = all(len(one) == session.sizes.new_tokens for one in split)
    return {
        "nan_refused": nan,
        "others_unharmed": unharmed,
        "canceled": canceled,
        "split_answers": ended,
        # In half formats the sums of a smaller batch differ, so that a token may.
        "split_same_ids": split == before,
        "holds": nan and unharmed and canceled and ended,
    }


def _canceled(running: Engine, frame: NDArray[np.float32], decoding: Decoding) -> bool:
    looked: list[None] = []

    def canceled() -> bool:
        looked.append(None)
        return len(looked) > 3

    try:
        running.answer(frame, Task.REPORT, decoding=decoding, canceled=canceled)
    except Canceled:
        return True
    return False


@contextlib.contextmanager
def _little_memory(model: CxrLlava) -> Iterator[None]:
    """Let the vision tower's memory suffice for one image at a time."""
    read = model.network.read_images

    def few(pixels: torch.Tensor) -> ImageFeatures:
        if len(pixels) > 1:
            if pixels.device.type == "cuda":
                torch.empty(
                    2**50, dtype=torch.uint8, device=pixels.device
                )  # the device's own error
            raise torch.OutOfMemoryError("no memory for more than one image")
        return read(pixels)

    model.network.read_images = few  # type: ignore[method-assign] - stands for a full device
    try:
        yield
    finally:
        model.network.read_images = read  # type: ignore[method-assign]


def _memory(session: Session) -> dict[str, Any]:
    if session.device.type != "cuda":
        return {}
    most = torch.cuda.max_memory_allocated(session.device)
    torch.cuda.reset_peak_memory_stats(session.device)
    return {"most_device_bytes": most}


def _frames(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((count, 160, 140), dtype=np.float32)


def fp8() -> dict[str, Any]:
    """Skip: no step exists for fp8."""
    raise Skipped("Wetread has no fp8: bitsandbytes, its library for smaller formats, has none")


def freed(session: Session) -> None:
    """Release the model, so that another fits."""
    session.model = None
    if session.device.type == "cuda":
        torch.cuda.empty_cache()


def run_all(session: Session) -> None:
    """Run the steps in the order of their importance."""
    session.run("machine", lambda: machine(session))
    session.run("parity", lambda: parity(session))
    session.run("library", lambda: library(session))
    session.run("write", lambda: written(session))
    session.run("load", lambda: loaded(session))
    session.run("plain", lambda: speed(session, compiled=False))
    session.run("faults", lambda: faults(session))
    session.run("compiled", lambda: speed(session, compiled=True))
    freed(session)
    session.run("int8", lambda: quantized(session, "int8"))
    session.run("int4", lambda: quantized(session, "int4"))
    session.run("fp8", fp8)


def main() -> None:
    """Run the steps and end with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="small sizes on the CPU")
    parser.add_argument("--out", type=Path, default=Path("on_gpu.json"))
    parser.add_argument("--golden", type=Path, help="a golden folder of CXR-LLaVA v2")
    parser.add_argument("--seconds", type=float, default=450.0)
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="STEP", help="steps to leave out"
    )
    options = parser.parse_args()
    if not options.cpu and not torch.cuda.is_available():
        sys.exit("on_gpu: no CUDA device here; --cpu runs the same steps at a small size")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory(prefix="wetread-on-gpu-") as folder:
        session = Session(
            device=torch.device("cpu" if options.cpu else "cuda"),
            sizes=ON_CPU if options.cpu else ON_CARD,
            golden=options.golden,
            folder=Path(folder),
            ends=time.monotonic() + options.seconds,
            out=options.out,
            without=frozenset(options.without),
        )
        run_all(session)
    failed = [name for name, result in session.found.items() if result["status"] == "failed"]
    if failed:
        sys.exit(f"on_gpu: failed: {', '.join(failed)}; see {options.out}")


if __name__ == "__main__":
    main()
