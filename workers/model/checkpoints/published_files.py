"""Writes the files of a checkpoint in the published layout, for the models that Wetread makes itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor


def write_settings(
    folder: Path, *, tokenizer: bytes, config: Mapping[str, Any], new_tokens: int
) -> None:
    """Write every file but the weights.

    Args:
        folder: Where to.
        tokenizer: Content of `tokenizer.model`.
        config: Content of `config.json`.
        new_tokens: Longest answer in tokens.
    """
    (folder / "tokenizer.model").write_bytes(tokenizer)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": True,
            "add_eos_token": False,
            "legacy": False,
            "tokenizer_class": "LlamaTokenizer",
        },
    )
    _write_json(
        folder / "special_tokens_map.json",
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    )
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", {"max_new_tokens": new_tokens})


def write_index(folder: Path, weights: Mapping[str, Tensor], files: Mapping[str, str]) -> None:
    """Write which file holds each tensor."""
    size = sum(tensor.nbytes for tensor in weights.values())
    _write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": size}, "weight_map": files},
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
