"""The file with the levels of an image for viewers, beside the image in the spool.

It holds a magic number, the length of a JSON description, the description, and the encoded levels one
after the other. It can be made again from the image at any time, so it is not synced.
"""

import json
import os
import shutil
import struct
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicom.errors import InvalidDataset

SUFFIX: Final = ".levels"
_MAGIC: Final = b"WTLEVEL1"  # raise the number when the content changes
_HEAD: Final = struct.Struct("<8sI")
_LONGEST_DESCRIPTION: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsIndex:
    """What a file of levels holds.

    Attributes:
        description: JSON types, for the viewer.
        parts: Offset and length of each level in the file, largest level first.
    """

    description: dict[str, Any]
    parts: tuple[tuple[int, int], ...]


def levels_path(image: Path) -> Path:
    """Return the path of the levels of a spooled image."""
    return image.with_name(image.name + SUFFIX)


def image_path(levels: Path) -> Path:
    """Return the path of the image that a file of levels belongs to."""
    return levels.with_name(levels.name.removesuffix(SUFFIX))


def packed(description: dict[str, Any], bodies: Sequence[bytes]) -> bytes:
    """Return the content of a file of levels."""
    lengths = [len(body) for body in bodies]
    text = json.dumps({"description": description, "lengths": lengths}).encode()
    return b"".join([_HEAD.pack(_MAGIC, len(text)), text, *bodies])


def read_index(content: bytes, total: int) -> LevelsIndex:
    """Return what a file of levels holds.

    Args:
        content: The file from its start, with the whole description at least.
        total: The length of the file.

    Raises:
        InvalidDataset: It is not a complete file of levels of this version.
    """
    try:
        magic, length = _HEAD.unpack_from(content)
        if magic != _MAGIC or length > _LONGEST_DESCRIPTION:
            raise InvalidDataset("the file of levels has another format")
        head = json.loads(content[_HEAD.size : _HEAD.size + length])
        offset, parts = _HEAD.size + length, []
        for each in head["lengths"]:
            parts.append((offset, int(each)))
            offset += int(each)
        description = dict(head["description"])
    except (struct.error, ValueError, TypeError, KeyError):
        raise InvalidDataset("the file of levels is damaged") from None
    if offset != total or len(description["levels"]) != len(parts):
        raise InvalidDataset("the file of levels is incomplete")
    return LevelsIndex(description=description, parts=tuple(parts))


def open_index(path: Path) -> LevelsIndex:
    """Return what the file of levels at `path` holds.

    Raises:
        InvalidDataset: It is not a complete file of levels of this version.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
        length = _HEAD.unpack(head)[1] if len(head) == _HEAD.size else 0
        content = head + file.read(min(length, _LONGEST_DESCRIPTION))
        return read_index(content, os.fstat(file.fileno()).st_size)


def read_part(path: Path, part: tuple[int, int]) -> bytes:
    """Return one level, gzip compressed.

    Raises:
        OSError: It cannot be read.
    """
    offset, length = part
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def write_levels(image: Path, content: bytes, *, min_free_bytes: int = 0) -> bool:
    """Write the levels of a spooled image beside it, unless the image has been removed meanwhile.

    Args:
        image: The image.
        content: As `packed` returns it.
        min_free_bytes: Nothing is written if the disk would have less free space.

    Returns:
        Whether there was enough space.

    Raises:
        OSError: They could not be written.
    """
    path = levels_path(image)
    if shutil.disk_usage(image.parent).free - len(content) < min_free_bytes:
        return False
    temporary = image.with_name(f"{uuid.uuid4().hex}{SUFFIX}")
    try:
        temporary.write_bytes(content)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    if not image.exists():
        remove_levels(image)
    return True


def remove_levels(image: Path) -> None:
    """Remove the levels of an image, if there are any."""
    with suppress(FileNotFoundError):
        levels_path(image).unlink()
