"""Puts prompts of unequal length into one batch: padding stands before a prompt, unseen by it."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

IDS: Final = "input_ids"
MASK: Final = "attention_mask"


def collated(
    rows: Sequence[Mapping[str, Tensor]], written: Sequence[Sequence[int]], pad_id: int
) -> dict[str, Tensor]:
    """Return the inputs of a batch.

    Args:
        rows: For each row what the processor made of one prompt: int64 [1, T] ids, tensors of the same
            shape that describe them, and tensors of its image in any shape.
        written: For each row the ids that were already written after its prompt.
        pad_id: The id that fills the beginning of shorter rows.

    Returns:
        Ids and their descriptions [B, L], padded at the left; tensors of images joined along their first
        dimension, other dimensions filled with zeros at the end up to the largest.
    """
    longest = max(row[IDS].shape[1] + len(more) for row, more in zip(rows, written, strict=True))
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: _sequences(name, rows, written, longest, pad_id)
        if _describes_ids(rows[0], name)
        else _joined([row[name] for row in rows if name in row])
        for name in names
    }


def _describes_ids(row: Mapping[str, Tensor], name: str) -> bool:
    return name in row and row[name].shape == row[IDS].shape


def _sequences(
    name: str,
    rows: Sequence[Mapping[str, Tensor]],
    written: Sequence[Sequence[int]],
    longest: int,
    pad_id: int,
) -> Tensor:
    each = [
        pad(
            torch.cat([row[name], _continued(name, row[name], more)], dim=1),
            (longest - row[name].shape[1] - len(more), 0),
            value=pad_id if name == IDS else 0,
        )
        for row, more in zip(rows, written, strict=True)
    ]
    return torch.cat(each)


def _continued(name: str, prompt: Tensor, more: Sequence[int]) -> Tensor:
    """Return [1, N] for the written ids: themselves, seen, of type 0 (text)."""
    if name == IDS:
        return prompt.new_tensor([list(more)])
    return prompt.new_full((1, len(more)), 1 if name == MASK else 0)


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    shapes = [tensor.shape[1:] for tensor in tensors]
    largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
    filled = []
    for tensor in tensors:
        missing = [(0, most - size) for most, size in zip(largest, tensor.shape[1:], strict=True)]
        # `pad` takes the last dimension first.
        filled.append(pad(tensor, [edge for pair in reversed(missing) for edge in pair]))
    return torch.cat(filled)
