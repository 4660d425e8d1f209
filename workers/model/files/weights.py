"""Finds the weight files of a checkpoint, reads one tensor at a time, checks them against the model.

Safetensors are preferred; pickled `.bin` shards are read weights-only, so that no code in a checkpoint
is executed.
"""

import fnmatch
import hashlib
import pickle
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from workers.model.config import read_json
from workers.model.errors import CheckpointError
from workers.model.files.completeness import fault_of
from workers.model.files.snapshot import file_digest

_INDEXES: Final = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES: Final = ("model.safetensors", "pytorch_model.bin")
_NAMED: Final = 6  # tensors of each kind that an error names


class Source(Protocol):
    """Where a network's tensors come from."""

    @property
    def folder(self) -> Path:
        """The folder that error messages name."""
        ...

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each tensor with its name, one at a time."""
        ...

    def sha256(self) -> str:
        """Return the digest over the files."""
        ...


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files that hold a checkpoint's tensors, each file once, in order of name."""

    paths: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        """Their folder, for messages."""
        return self.paths[0].parent

    @classmethod
    def find(cls, folder: Path, *, pickled: bool = True) -> Self:
        """Return the weight files of `folder`, safetensors before `.bin`, sharded before single.

        Args:
            folder: The folder.
            pickled: Whether the error offers `.bin` files too.

        Raises:
            CheckpointError: There are none, or an index names a file that is not beside it.
        """
        for index, single in zip(_INDEXES, _SINGLES, strict=True):
            if (folder / index).is_file():
                return cls(_indexed(folder / index))
            if (folder / single).is_file():
                return cls((folder / single,))
        names = [one for one in _INDEXES + _SINGLES if pickled or "safetensors" in one]
        raise CheckpointError(f"{folder}: no weights; one of {', '.join(names)} is needed")

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each tensor with its name, one at a time, on the CPU and in its stored dtype.

        Raises:
            CheckpointError: A file is truncated or not of the format that its name says.
        """
        return self._read(_every)

    def some(self, names: Collection[str]) -> dict[str, Tensor]:
        """Return those of the named tensors that the files hold; the others are not read.

        Raises:
            CheckpointError: A file is truncated or not of the format that its name says.
        """
        return dict(self._read(frozenset(names).__contains__))

    def starting(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose name starts so; the others are not read.

        Raises:
            CheckpointError: A file is truncated or not of the format that its name says.
        """
        return dict(self._read(lambda name: name.startswith(prefix)))

    def _read(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Tensor]]:
        for path in self.paths:
            try:
                yield from (
                    _read_safetensors(path, wanted)
                    if path.suffix == ".safetensors"
                    else _read_pickle(path, wanted)
                )
            except (
                SafetensorError,
                pickle.UnpicklingError,
                RuntimeError,
                OSError,
                EOFError,
            ) as error:
                raise CheckpointError(
                    f"{path}: cannot be read as weights: {fault_of(path)} ({error})"
                ) from None

    def sha256(self) -> str:
        """Return the digest of the only file, or over `name digest` lines of several files."""
        digests = [file_digest(path) for path in self.paths]
        if len(digests) == 1:
            return digests[0]
        lines = (
            f"{path.name} {digest}\n" for path, digest in zip(self.paths, digests, strict=True)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def fill(
    model: nn.Module,
    files: "Source",
    *,
    device: torch.device,
    dtype: torch.dtype,
    ignored: tuple[str, ...] = (),
) -> None:
    """Replace every parameter of `model` (on the meta device) with the checkpoint's tensor.

    Args:
        model: Built on the meta device, so that nothing is allocated twice.
        files: The source of the tensors.
        device: The device to which they are moved.
        dtype: The dtype to which they are converted.
        ignored: Patterns of names that a checkpoint may hold and the model does not use.

    Raises:
        CheckpointError: Tensors are missing, unexpected or of another shape; the message names them.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found: dict[str, Tensor] = {}
    unexpected, misshaped = [], []
    for name, tensor in files.tensors():
        if name not in expected:
            unexpected += [] if any(fnmatch.fnmatch(name, one) for one in ignored) else [name]
        elif tuple(tensor.shape) != expected[name]:
            misshaped.append(f"{name} {tuple(tensor.shape)} instead of {expected[name]}")
        else:
            found[name] = tensor.to(device=device, dtype=dtype)
    shaped = {entry.split(" ", 1)[0] for entry in misshaped}
    missing = [name for name in expected if name not in found and name not in shaped]
    faults = [
        f"{kind}: {', '.join(names[:_NAMED])}"
        + (f" and {len(names) - _NAMED} more" * (len(names) > _NAMED))
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshaped),
        )
        if names
    ]
    if faults:
        where = files.folder
        raise CheckpointError(
            f"{where}: the weights do not fit the configuration; {'; '.join(faults)}"
        )
    model.load_state_dict(found, assign=True)


def _every(name: str) -> bool:
    del name
    return True


def _indexed(index: Path) -> tuple[Path, ...]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise CheckpointError(f"{index}: no weight_map")
    shards = sorted({str(name) for name in names.values()})
    for shard in shards:
        # A plain name only: an index must not point outside its folder.
        if Path(shard).name != shard or not (index.parent / shard).is_file():
            raise CheckpointError(f"{index}: names {shard!r}, which is not beside it")
    return tuple(index.parent / shard for shard in shards)


def _read_safetensors(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - safe_open offers keys() only
            if wanted(name):
                yield name, file.get_tensor(name)


def _read_pickle(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Tensor]]:
    # Files older than the zip layout cannot be mapped into memory.
    mapped = zipfile.is_zipfile(path)
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    if isinstance(content, dict):
        content = content.get("state_dict", content)  # a training checkpoint nests its weights here
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no table of tensors")
    yield from (
        (str(name), tensor)
        for name, tensor in content.items()
        if isinstance(tensor, Tensor) and wanted(str(name))
    )
