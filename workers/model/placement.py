"""Where a model runs, as what, and for how many answers at once."""

from dataclasses import dataclass
from typing import Final

import torch

from workers.model.errors import DeviceError

DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
# name -> bytes that a weight of the decoder takes, its share of the scales included.
QUANTISED: Final = {"int8": 1.01, "int4": 0.57}
_BFLOAT16_SINCE: Final = (8, 0)  # the compute capability of the first cards that calculate in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model runs and as what.

    Attributes:
        dtype: Of the arithmetic, and of the weights that are not quantised.
        quantisation: "none", or a key of `QUANTISED`: how the decoder's weights are kept.
        rows: Answers that will grow together.
        new_tokens: Of each of them, at most.
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
    """Return the place that settings name.

    Args:
        device: "cpu", "cuda" or "cuda:N".
        dtype: A key of `DTYPES`, or "auto": what the device calculates in best.
        quantisation: "none" or a key of `QUANTISED`.
        rows: Answers that will grow together.
        new_tokens: Of each of them, at most.

    Raises:
        DeviceError: There is no such device here, or it does not calculate in this format.
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
        raise DeviceError(f"{name}: this machine has {torch.cuda.device_count()} CUDA devices")
    return device
