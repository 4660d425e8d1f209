"""Writes a checkpoint of random weights in the layout in which CXR-LLaVA v2 was published.

    python benchmarks/published_layout.py FOLDER [--size 7b|mid|small] [--device cpu]

Same tensor names, shapes and number format, three safetensors shards and their index; of size 7b: 589
tensors, 14 GB. The row of the end token is zero, so that an answer ends at its limit. The tokenizer is
that of the tiny model.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from workers.model.checkpoints.cxr_llava import Network
from workers.model.checkpoints.tiny import write_checkpoint
from workers.model.config import ModelConfig
from workers.model.tokenizer import EOS

# image edge, vision width and layers; hidden, intermediate, layers, heads
SIZES = {
    "small": ((128, 128, 4), (256, 688, 4, 4)),
    "mid": ((128, 256, 6), (1024, 2752, 12, 16)),
    "7b": ((512, 1024, 24), (4096, 11008, 32, 32)),
}
VOCABULARY = 32000
SHARDS = 3


def write(folder: Path, size: str, device: torch.device | None = None) -> int:
    """Write the checkpoint into a folder; return the bytes of its weights.

    Args:
        folder: Created if it is missing.
        size: A key of `SIZES`.
        device: Where the numbers are drawn; the CPU if None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as tiny:
        write_checkpoint(Path(tiny))
        for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"):
            (folder / name).write_bytes((Path(tiny) / name).read_bytes())
    (folder / "config.json").write_text(json.dumps(_config(size), indent=2), encoding="utf-8")
    with torch.device("meta"):
        network = Network(ModelConfig.from_folder(folder))
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    return _write_shards(folder, shapes, device or torch.device("cpu"))


def _config(size: str) -> dict[str, Any]:
    (edge, width, depth), (hidden, inner, layers, heads) = SIZES[size]
    return {
        "architectures": ["CXRLLAVAModel"],
        "caveat": "The weights are random: the text is meaningless.",
        "meaningless": True,
        "clip_embed_dim": 128,
        "clip_vision_cfg": {"image_size": edge, "layers": depth, "patch_size": 16, "width": width},
        "image_preprocess_cfg": {"mean": 0.5518136078431373, "std": 0.3821719215686275},
        "llama": {
            "vocab_size": VOCABULARY, "hidden_size": hidden, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads,
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "hidden_act": "silu",
        },
        "mm_projector_dim": width,
        "model_type": "CXR-LLAVA",
        "torch_dtype": "bfloat16",
    }  # fmt: skip


def _write_shards(folder: Path, shapes: dict[str, torch.Size], device: torch.device) -> int:
    """Write the tensors shard by shard, so that one shard at a time is in memory; return their bytes."""
    torch.manual_seed(0)
    places: dict[str, str] = {}
    written = 0
    for number, names in enumerate(_thirds(shapes), start=1):
        file = f"model-{number:05}-of-{SHARDS:05}.safetensors"
        shard = {name: _drawn(name, shapes[name], device) for name in names}
        save_file(shard, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(names, file)
        written += sum(tensor.nbytes for tensor in shard.values())
    index = {"metadata": {"total_size": written}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return written


def _thirds(shapes: dict[str, torch.Size]) -> Iterator[list[str]]:
    """Yield the names of each shard's tensors; the shards have about the same size."""
    share = sum(shape.numel() for shape in shapes.values()) / SHARDS
    names: list[str] = []
    size = shard = 0
    for name, shape in shapes.items():
        names.append(name)
        size += shape.numel()
        if size >= share * (shard + 1) and shard < SHARDS - 1:
            yield names
            names, shard = [], shard + 1
    yield names


def _drawn(name: str, shape: torch.Size, device: torch.device) -> Tensor:
    tensor = torch.empty(shape, dtype=torch.bfloat16, device=device)
    if "norm" in name or ".ln_" in name:
        tensor.fill_(0.0 if name.endswith("bias") else 1.0)
    else:
        tensor.normal_(0, 0.02)
    if name == "lm_head.weight":
        tensor[EOS] = 0  # never the likeliest of so many
    return tensor.cpu()


def main() -> None:
    """Write the checkpoint that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, default="7b")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    written = write(options.folder, options.size, torch.device(options.device))
    print(f"{options.folder}: {written / 1e9:.2f} GB of weights")


if __name__ == "__main__":
    main()
