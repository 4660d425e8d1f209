"""Loads a checkpoint of the published size and layout on the CPU, and reads one image with it.

    python benchmarks/full_size.py [--size 7b|mid|small] [--folder DIR] [--new-tokens 24]

Size 7b needs 15 GB of disk and 17 GB of memory. Prints bytes, seconds and the most memory of the
process as JSON, and ends with 1 if the answer has another length or if the memory exceeds the weights by
more than 25 % and 2 GB: a second copy of the weights would.
"""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import published_layout
import torch

from workers.model.checkpoints import registry
from workers.model.placement import Place
from workers.model.prompts import Task
from workers.model.vlm import Decoding

_MARGIN_BYTES = 2 * 10**9


def run(folder: Path, size: str, new_tokens: int) -> dict[str, Any]:
    """Return the time and memory of writing, loading and reading."""
    begun = time.monotonic()
    weights = published_layout.write(folder, size)
    written = time.monotonic()
    model = registry.load("cxr-llava-v2", folder, Place(dtype=torch.bfloat16))
    loaded = time.monotonic()
    frame = np.random.default_rng(0).random((2000, 1800), dtype=np.float32)
    answer = model.answer(frame, Task.REPORT, decoding=Decoding(max_new_tokens=new_tokens))
    read = time.monotonic()
    return {
        "size": size,
        "weights_bytes": weights,
        "write_seconds": round(written - begun, 1),
        "load_seconds": round(loaded - written, 1),
        "read_seconds": round(read - loaded, 1),
        "tokens": len(answer.token_ids),
        "most_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=published_layout.SIZES, default="7b")
    parser.add_argument("--folder", type=Path, help="keep the checkpoint here")
    parser.add_argument("--new-tokens", type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory(prefix="wetread-full-size-") as made:
        found = run(options.folder or Path(made), options.size, options.new_tokens)
    print(json.dumps(found, indent=2))
    most = found["weights_bytes"] * 1.25 + _MARGIN_BYTES
    if found["tokens"] != options.new_tokens or found["most_memory_bytes"] > most:
        sys.exit(1)


if __name__ == "__main__":
    main()
