"""Reports per second and latency of the engine against the plain loop, with the roofline beside it.

    python benchmarks/engine.py [--size mid|7b] [--device cpu] [--dtype float32] [--in-flight 1 4 16 64]

Without an option it takes four minutes on two quiet cores. Random weights of CXR-LLaVA v2's
architecture, which never end an answer by themselves, so that each has exactly --new-tokens tokens. The
plain loop asks one image after another, one token at a time, as the original code does; half of it runs
before the engine and half behind. The roofline is what the bytes that each step must read (weights once,
each row's keys and values) take at the bandwidth that a large copy reaches on the same device; reading
the images is not in it.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from workers.model.checkpoints.cxr_llava import CxrLlava, Network
from workers.model.checkpoints.tiny import write_checkpoint
from workers.model.config import LanguageConfig, ModelConfig, VisionConfig
from workers.model.engine.engine import Engine
from workers.model.prompts import Task
from workers.model.tokenizer import EOS, Tokenizer
from workers.model.vlm import Checkpoint, Decoding

# image edge, vision width and layers; hidden, intermediate, layers, heads
SIZES = {
    "mid": ((128, 256, 6), (1024, 2752, 12, 16)),
    "7b": ((512, 1024, 24), (4096, 11008, 32, 32)),
}
VOCABULARY = 32000


@dataclass(frozen=True)
class Run:
    """One line of the table; seconds.

    Attributes:
        spent: By the clock, for all reports.
        computed: Processor time of all threads: more reliable than the clock where other programs use
            the machine too.
        roofline: Reports a second that the bandwidth would allow.
    """

    name: str
    latencies: list[float]
    spent: float
    computed: float
    roofline: float

    @property
    def rate(self) -> float:
        """Reports a second."""
        return len(self.latencies) / self.spent

    def __add__(self, other: "Run") -> "Run":
        """Return the two as one."""
        return Run(
            self.name,
            self.latencies + other.latencies,
            self.spent + other.spent,
            self.computed + other.computed,
            self.roofline,
        )


def configuration(size: str) -> ModelConfig:
    """Return the architecture."""
    (edge, width, depth), (hidden, inner, layers, heads) = SIZES[size]
    return ModelConfig(
        vision=VisionConfig(
            image_size=edge, patch_size=16, width=width, layers=depth, head_width=64, mlp_ratio=4.0,
            mean=0.55, std=0.38,
        ),
        language=LanguageConfig(
            vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=inner, layers=layers,
            heads=heads, kv_heads=heads, head_dim=hidden // heads, rms_norm_eps=1e-5,
            rope_theta=10000.0, max_positions=4096,
        ),
        token_budget=2048, max_new_tokens=None, caveat="",
    )  # fmt: skip


def random_model(size: str, device: torch.device, dtype: torch.dtype) -> CxrLlava:
    """Return a model whose weights are drawn on the device."""
    config = configuration(size)
    with torch.device("meta"):
        network = Network(config).to(dtype).eval().requires_grad_(requires_grad=False)
    network.to_empty(device=device)
    torch.manual_seed(0)
    for name, weight in network.named_parameters():
        if "norm" in name or ".ln_" in name:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            weight.normal_(0, 0.02)
    network.lm_head.weight[EOS] = 0  # never the likeliest of so many
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder))
        tokenizer = Tokenizer.from_folder(Path(folder))
    checkpoint = Checkpoint(
        name="random", revision="", weights_sha256="", caveat="", device=str(device),
        dtype=str(dtype), max_new_tokens=None,
    )  # fmt: skip
    return CxrLlava(network, tokenizer, config, checkpoint)


def bandwidth(device: torch.device) -> float:
    """Return the bytes per second that a large copy reads and writes, the best of five."""
    size = (4 if device.type == "cuda" else 1) * 2**28
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target, best = torch.empty_like(source), float("inf")
    for _ in range(5):
        settle(device)
        start = time.perf_counter()
        target.copy_(source)
        settle(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size / best


def settle(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def step_seconds(model: CxrLlava, rows: int, length: float, rate: float) -> float:
    """Return what one step of `rows` sequences of `length` tokens takes at `rate` bytes a second."""
    language, item = model.config.language, model.network.lm_head.weight.element_size()
    read = sum(p.numel() for p in model.network.llama.layers.parameters()) + (
        model.network.lm_head.weight.numel()
    )
    kept = 2 * language.layers * language.kv_heads * language.head_dim * length
    return (read + rows * kept) * item / rate


def measured(
    name: str, ask: Callable[[int], None], *, in_flight: int, reports: int, roofline: float
) -> Run:
    """Return how long `reports` answers take with so many callers at the same time."""

    def one(number: int) -> float:
        start = time.perf_counter()
        ask(number)
        return time.perf_counter() - start

    start, before = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(in_flight) as callers:
        latencies = list(callers.map(one, range(reports)))
    spent, computed = time.perf_counter() - start, time.process_time() - before
    return Run(name, latencies, spent, computed, roofline)


def table(runs: Sequence[Run]) -> None:
    """Print the lines, each beside the first."""
    heads = (
        "",
        "reports",
        "each s",
        "x plain",
        "p50 s",
        "p95 s",
        "CPU s each",
        "x plain",
        "roofline",
    )
    print("{:>12} {:>8} {:>8} {:>8} {:>7} {:>7} {:>10} {:>8} {:>9}".format(*heads))
    plain = runs[0].computed / len(runs[0].latencies)
    for run in runs:
        ordered = sorted(run.latencies)
        worst = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        computed = run.computed / len(ordered)
        print(
            f"{run.name:>12} {len(ordered):8} {1 / run.rate:8.2f} {run.rate / runs[0].rate:8.2f} "
            f"{statistics.median(ordered):7.2f} {worst:7.2f} {computed:10.2f} {plain / computed:8.2f} "
            f"{100 * run.rate / run.roofline:7.0f} %"
        )


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="mid")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--plain", type=int, default=4, help="reports of the plain loop, even")
    parser.add_argument("--compile", action="store_true", help="compile the engine's step first")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments()
    device = torch.device(options.device)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = random_model(options.size, device, getattr(torch, options.dtype))
    shots = np.random.default_rng(0).random((64, 160, 140), dtype=np.float32)
    decoding = Decoding(max_new_tokens=options.new_tokens)

    def ask(target: CxrLlava | Engine, number: int) -> None:
        answer = target.answer(shots[number % len(shots)], Task.REPORT, decoding=decoding)
        if len(answer.token_ids) != options.new_tokens:
            raise RuntimeError("an answer ended by itself")

    rate = bandwidth(device)
    ids = len(model.prompt_ids(model.chat(Task.REPORT)))
    start = ids - 1 + model.network.tokens_per_image
    middle = start + options.new_tokens / 2

    def roofline(rows: int) -> float:
        return rows / (options.new_tokens * step_seconds(model, rows, middle, rate))

    def plain() -> Run:
        asked = max(1, options.plain // 2)
        return measured(
            "plain loop", lambda n: ask(model, n), in_flight=1, reports=asked, roofline=roofline(1)
        )

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {options.dtype}: "
        f"{sum(p.numel() for p in model.network.parameters()) / 1e6:.0f} million weights, "
        f"{model.network.tokens_per_image} image tokens, {start} before the answer, "
        f"{options.new_tokens} new; {rate / 1e9:.0f} GB/s; load {os.getloadavg()[0]:.1f}"
    )
    ask(model, 0)  # warm
    before = plain()
    most = max(options.in_flight)
    engine = Engine(model, rows=most, new_tokens=options.new_tokens, compiled=options.compile)
    ask(engine, 0)
    runs = [
        measured(
            f"{count} at once", lambda n: ask(engine, n), in_flight=count,
            reports=max(count, options.plain), roofline=roofline(count),
        )
        for count in options.in_flight
    ]  # fmt: skip
    engine.close()
    table([before + plain(), *runs])


if __name__ == "__main__":
    main()
