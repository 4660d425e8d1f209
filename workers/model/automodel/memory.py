"""Estimates whether a checkpoint of the library fits into memory, before its weights are read."""

import math
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from workers.model.errors import CheckpointError, DeviceError
from workers.model.files.completeness import fault_of
from workers.model.files.weights import WeightFiles
from workers.model.networks import memory
from workers.model.placement import Place

_FLOOR: Final = 128 * 2**20  # bytes of the library itself
_LOGIT_COPIES: Final = 4  # of the last token's, in float32
_ACTIVATIONS: Final = 12  # tensors of the hidden size that one token of a prompt holds at once


def check(files: WeightFiles, config: Any, place: Place, prompt: int) -> None:  # noqa: ANN401 - any configuration of the library
    """Check that a checkpoint will fit.

    Args:
        files: Its weights.
        config: The library's configuration of it.
        place: Device, number format, rows and new tokens.
        prompt: Tokens of its longest prompt, those of an image included.

    Raises:
        DeviceError: It will not; the message states how much is needed and free, and what would fit.
        CheckpointError: A weight file cannot be read.
    """
    numbers = sum(_numbers(path) for path in files.paths)
    available = memory.free(place.device)

    def required(dtype: torch.dtype, rows: int) -> int:
        return numbers * dtype.itemsize + rows * _row(config, dtype, prompt + place.new_tokens)

    needed = required(place.dtype, place.rows) + _FLOOR
    if needed <= available:
        return
    half = torch.bfloat16 if place.dtype is torch.float32 else place.dtype
    fitting = (
        (dtype, rows)
        for dtype in dict.fromkeys((place.dtype, half))
        for rows in range(place.rows, 0, -1)
        if required(dtype, rows) + _FLOOR <= available
    )
    advice = next(map(_suggestion, fitting), "it does not fit in any supported number format")
    raise DeviceError(
        f"{place.device}: the model needs {memory.gb(needed)} as {place.format} "
        f"({memory.gb(numbers * place.dtype.itemsize)} of weights, the rest for {place.rows} answers at "
        f"once), {memory.gb(available)} are free; {advice}"
    )


def _row(config: Any, dtype: torch.dtype, tokens: int) -> int:  # noqa: ANN401 - any configuration of the library
    """Return the bytes of one row: its cache, its logits and the tensors of one pass."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    cache = 2 * text.num_hidden_layers * heads * width * tokens * dtype.itemsize
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    pass_ = tokens * dtype.itemsize * (_ACTIVATIONS * text.hidden_size + 3 * inner)
    return int(cache + pass_ + _LOGIT_COPIES * text.vocab_size * torch.float32.itemsize)


def _numbers(path: Path) -> int:
    """Return how many numbers the tensors of a file hold, from its header."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 - offers keys() only
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as weights: {fault_of(path)} ({error})"
        ) from None
    return sum(math.prod(shape) for shape in shapes)


def _suggestion(found: tuple[torch.dtype, int]) -> str:
    dtype, rows = found
    return f"as {str(dtype).removeprefix('torch.')} it would fit with {rows} at once"
