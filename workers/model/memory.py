"""Whether a model fits, asked before anything is allocated."""

from typing import Final

import psutil
import torch
from torch import nn

from workers.model.errors import DeviceError

_DTYPES: Final = (torch.float32, torch.bfloat16)
# Beside the weights: caches, activations and the library itself, as a share and a floor in bytes.
_SHARE: Final = 0.1
_FLOOR: Final = 64 * 2**20


def needed(parameters: int, dtype: torch.dtype) -> int:
    """Return the bytes that a model of so many parameters takes while it answers."""
    stored = parameters * dtype.itemsize
    return stored + max(int(stored * _SHARE), _FLOOR)


def free(device: torch.device) -> int:
    """Return the bytes that can be allocated on `device` now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)  # type: ignore[no-untyped-call]


def check(network: nn.Module, *, device: torch.device, dtype: torch.dtype) -> None:
    """Return when `network` will fit.

    Raises:
        DeviceError: It will not; the sentence says how much is needed and free, and what would fit.
    """
    parameters, available = sum(weight.numel() for weight in network.parameters()), free(device)
    if needed(parameters, dtype) <= available:
        return
    fits = [other for other in _DTYPES if needed(parameters, other) <= available]
    advice = (
        f"; as {_name(fits[0])} it would fit" if fits else "; it fits in no supported number format"
    )
    raise DeviceError(
        f"{device}: the model needs {_gb(needed(parameters, dtype))} as {_name(dtype)}, "
        f"{_gb(available)} are free{advice}"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
