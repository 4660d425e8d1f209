"""Which files and packages a checkpoint's processor needs, and which of them are missing, by name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from workers.model.config import read_json
from workers.model.errors import CheckpointError

_VOCABULARIES: Final = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json",
)  # fmt: skip
_TOKENIZER: Final = "tokenizer_config.json"
_MISTRAL: Final = "tekken.json"  # holds the tokenizer's configuration too
_IMAGES: Final = "preprocessor_config.json"
_PROCESSOR: Final = "processor_config.json"
_JSON: Final = ("tokenizer.json", "vocab.json", _TOKENIZER, _IMAGES, _PROCESSOR)
_IMAGE_KEY: Final = "image_processor"
# Extras of Wetread that hold a package; others are installed by their own name.
_EXTRAS: Final = {"num2words": "'wetread[smolvlm]'"}
_PACKAGES: Final = (
    re.compile(r"[Pp]ackage `([\w-]+)` is required"),
    re.compile(r"requires the ([\w-]+) library"),
    re.compile(r"No module named '([\w-]+)"),
)


def check_files(folder: Path) -> None:
    """Check that the files of a tokenizer and of an image processor are there.

    Args:
        folder: The checkpoint's.

    Raises:
        CheckpointError: Names each file that is missing, or one that is no JSON.
    """
    absent = tuple(_missing(folder))
    if absent:
        raise CheckpointError(
            f"{folder}: missing: {'; '.join(absent)}. Copy each from where the weights were published "
            "(a fine-tune has those of its base model), and run `wetread pin-model` again if the folder "
            "is pinned"
        )


def _missing(folder: Path) -> Iterator[str]:
    there = {path.name for path in folder.iterdir()}
    if not there.intersection(_VOCABULARIES):
        first, second, *_ = _VOCABULARIES
        yield f"{first} (or {second}), the tokenizer's vocabulary"
    if not there.intersection((_TOKENIZER, _MISTRAL)):
        yield f"{_TOKENIZER}, the tokenizer's configuration"
    processor = read_json(folder / _PROCESSOR) if _PROCESSOR in there else {}
    if _IMAGES not in there and _IMAGE_KEY not in processor:
        whole = f"{_IMAGES} (or {_PROCESSOR} with the key {_IMAGE_KEY})"
        yield f"{whole}, the configuration of the image processor"


def refusal(error: BaseException, folder: Path) -> str:
    """Return why the library cannot load a processor, with the package or the file that is at fault."""
    text = str(error)
    if isinstance(error, ImportError):
        found = next((match for one in _PACKAGES if (match := one.search(text))), None)
        if found:
            name = found[1].lower()
            install = _EXTRAS.get(name, name)
            return (
                f"it needs the Python package {name}: run `pip install {install}` in the environment of "
                "Wetread"
            )
    return _damaged(folder) or first_line(error)


def _damaged(folder: Path) -> str:
    """Return the fault of the first JSON file of a processor that cannot be parsed, or ""."""
    for path in (folder / name for name in _JSON):
        if path.is_file():
            try:
                json.loads(path.read_bytes())
            except ValueError as error:
                return f"{path.name} is damaged: not JSON: {error}; copy it again"
    return ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, at most 300 characters, or its type."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:300]
