"""States what is wrong with a weight file that cannot be read: incomplete, a pointer, or damaged."""

import json
from pathlib import Path
from typing import Final

_POINTER: Final = b"version https://git-lfs"
_LENGTH: Final = 8  # bytes at the start of a safetensors file: the length of its header
_LONGEST_HEADER: Final = 100_000_000  # bytes; the limit of the safetensors library


def fault_of(path: Path) -> str:
    """Return what is wrong with a weight file that cannot be read, and what to do, as a clause."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                return "it is a pointer of Git LFS, not the weights: run `git lfs pull` or copy it again"
        expected = _expected_bytes(path)
    except OSError as error:
        return f"it cannot be opened: {error.strerror}"
    if size < expected:
        return f"the file is incomplete ({size} of at least {expected} bytes): copy it again"
    return "the file is damaged or incomplete: copy it again"


def _expected_bytes(path: Path) -> int:
    """Return the least size of a safetensors file by its own header; 0 if the header gives none."""
    if path.suffix != ".safetensors":
        return 0
    with path.open("rb") as file:
        start = file.read(_LENGTH)
        length = int.from_bytes(start, "little")
        if len(start) < _LENGTH:
            return _LENGTH
        if length > _LONGEST_HEADER:
            return 0
        header = file.read(length)
    if len(header) < length:
        return _LENGTH + length
    return _LENGTH + length + _data_bytes(header)


def _data_bytes(header: bytes) -> int:
    try:
        entries = json.loads(header)
        ends = [
            int(one["data_offsets"][1]) for name, one in entries.items() if name != "__metadata__"
        ]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return 0
    return max(ends, default=0)
