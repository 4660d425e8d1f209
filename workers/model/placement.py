"""The device of a model, its number format, and how many answers it writes at once."""

from dataclasses import dataclass
from typing import Final

import torch

from workers.model.errors import DeviceError

DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
# name -> bytes of a decoder weight, its share of the scales included.
QUANTISED: Final = {"int8": 1.01, "int4": 0.57}
_BFLOAT16_SINCE: Final = (8, 0)  # the lowest CUDA compute capability that has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The device and number format of a model.

    Attributes:
        dtype: Format of the arithmetic, and of the weights that are not quantized.
        quantisation: "none", or a key of `QUANTISED`: the format of the decoder's weights.
        rows: Number of answers that are written at once.
        new_tokens: Most new tokens of an answer.
    """

    device: torch.device = torch.device("cpu")  # noqa: RUF009 - cannot be changed
    dtype: torch.dtype = torch.float32
    quantisation: str = "none"
    rows: int = 1
    new_tokens: int = 512

    @property
    def format(self) -> str:
        """The number format in words, for drafts and messages."""
        name = str(self.dtype).removeprefix("torch.")
        return name if self.quantisation == "none" else f"{name} (decoder {self.quantisation})"


HERE: Final = Place()


def place(
    device: str, dtype: str, *, quantisation: str = "none", rows: int = 1, new_tokens: int = 512
) -> Place:
    """Return the place for these settings.

    Args:
        device: "cpu", "cuda" or "cuda:N".
        dtype: A key of `DTYPES`, or "auto" for the device's best format.
        quantisation: "none" or a key of `QUANTISED`.
        rows: Number of answers that are written at once.
        new_tokens: Most new tokens of an answer.

    Raises:
        DeviceError: The device does not exist here, or does not support the format.
    """
    if dtype not in {"auto", *DTYPES} or quantisation not in {"none", *QUANTISED}:
        raise DeviceError(
            f"no format {dtype!r} with {quantisation!r}; there are auto, {', '.join(DTYPES)}, "
            f"with none, {', '.join(QUANTISED)}"
        )
    where = torch_device(device)
    best = torch.float32
    if where.type == "cuda":
        best = half_format(torch.cuda.get_device_capability(where))
        if dtype == "bfloat16" and best is not torch.bfloat16:
            raise DeviceError(f"{device}: this card has no bfloat16; use float16, or auto")
    return Place(
        device=where,
        dtype=DTYPES.get(dtype, best),
        quantisation=quantisation,
        rows=rows,
        new_tokens=new_tokens,
    )


def half_format(capability: tuple[int, int]) -> torch.dtype:
    """Return the 16-bit format for a card of this compute capability: a V100 (7, 0) has no bfloat16."""
    return torch.bfloat16 if capability >= _BFLOAT16_SINCE else torch.float16


def torch_device(name: str) -> torch.device:
    """Return the device called `name`.

    Raises:
        DeviceError: There is no such device here.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"{name!r} names no device; use cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"{name}: {_no_device(torch.cuda.device_count())}")
    return device


def _no_device(count: int) -> str:
    """Return why a CUDA device cannot be used, and what to set, on a machine with `count` of them."""
    if count:
        return (
            f"this machine has {count} CUDA devices: set reading.device to one of cuda:0 to "
            f"cuda:{count - 1}, or to cpu"
        )
    remedy = (
        "install a build of torch with CUDA"
        if torch.version.cuda is None
        else "make the card visible to this user (`nvidia-smi` lists it) with a driver for CUDA "
        f"{torch.version.cuda}"
    )
    return f'this machine has 0 CUDA devices: set reading.device = "cpu", or {remedy}'
