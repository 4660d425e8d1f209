"""Finds the folder that a model is loaded from, and checks that its files are the pinned ones.

`SHA256SUMS` in a folder, as `sha256sum` writes it, lists the digest of each file beside it; the digest
of that list stands for all files, configuration and tokenizer included.
"""

import functools
import hashlib
import re
from pathlib import Path
from typing import Final

from workers.model.errors import CheckpointError

LIST: Final = "SHA256SUMS"
_CONFIGURATIONS: Final = frozenset({"config.json", "adapter_config.json"})
_WEIGHTS: Final = frozenset({".safetensors", ".bin"})
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/]+)")
_NAMED: Final = 6  # files of each kind that an error names
_MAX_BYTES: Final = 2**20


def resolved_folder(folder: Path, pinned: str | None = None) -> Path:
    """Return the folder with the files, after a check against its list if it has one.

    Args:
        folder: The folder with the files; or a model's folder in the Hub's cache, of which the snapshot
            named by `refs/main`, or the only one, is used.
        pinned: The digest that the list must have.

    Raises:
        CheckpointError: Files differ from the list (the message names them), the list has not the pinned
            digest, or it is not clear which snapshot is meant.
    """
    if (folder / "snapshots").is_dir():
        folder = _snapshot(folder)
    if (folder / LIST).is_file():
        _compare(folder)
    if pinned is not None and pinned != list_digest(folder):
        raise CheckpointError(
            f"{folder}: {LIST} is not the one that was pinned ({pinned[:16]}...); the files were "
            "changed, or `wetread pin-model` was not run here"
        )
    return folder


def pin(folder: Path) -> str:
    """Write the list of the files in `folder` and return its digest.

    Raises:
        CheckpointError: There are no files.
        OSError: The list cannot be written.
    """
    names = _names(folder)
    if not names:
        raise CheckpointError(f"{folder}: no files")
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in names]
    (folder / LIST).write_text("".join(lines), encoding="utf-8")
    return list_digest(folder)


def absent(folder: Path) -> tuple[str, ...]:
    """Return which parts of a model or an adapter `folder` lacks, in words; () if it has them."""
    names = _names(folder)
    weights = any(Path(name).suffix in _WEIGHTS for name in names)
    parts = {
        "no config.json": _CONFIGURATIONS.isdisjoint(names),
        "no weights (.safetensors, .bin)": not weights,
    }
    return tuple(part for part, lacks in parts.items() if lacks)


def list_digest(folder: Path) -> str:
    """Return the digest of the folder's list, or "" if it has none."""
    path = folder / LIST
    return file_digest(path) if path.is_file() else ""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex; an unchanged file is read once."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed: int) -> str:
    del size, changed  # keys of the cache: they change with the content
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _snapshot(folder: Path) -> Path:
    found = sorted(path for path in (folder / "snapshots").iterdir() if path.is_dir())
    named = folder / "refs" / "main"
    main = named.read_text(encoding="ascii").strip() if named.is_file() else ""
    chosen = [path for path in found if path.name == main] or found
    if len(chosen) != 1:
        raise CheckpointError(
            f"{folder}: {len(found)} snapshots, and none is selected; give the path of one"
        )
    return chosen[0]


def _names(folder: Path) -> list[str]:
    # No loader reads hidden files, such as those of the downloader.
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file() and path.name != LIST and not path.name.startswith(".")
    )


def _compare(folder: Path) -> None:
    listed = _listed(folder / LIST)
    there = set(_names(folder))
    faults = {
        "missing": sorted(listed.keys() - there),
        "not listed": sorted(there - listed.keys()),
        "changed": [
            name
            for name, digest in listed.items()
            if name in there and file_digest(folder / name) != digest
        ],
    }
    parts = [f"{kind}: {', '.join(names[:_NAMED])}" for kind, names in faults.items() if names]
    if parts:
        raise CheckpointError(
            f"{folder}: not the files of {LIST}; {'; '.join(parts)}. Restore them, or run "
            "`wetread pin-model` if the change was meant"
        )


def _listed(path: Path) -> dict[str, str]:
    """Return name -> digest."""
    with path.open("rb") as file:
        lines = file.read(_MAX_BYTES).decode("utf-8", "replace").splitlines()
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found):
        raise CheckpointError(f"{path}: a line is not `digest  name`")
    return {one[2]: one[1] for one in found if one}
