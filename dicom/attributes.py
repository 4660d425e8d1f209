"""Attributes of a header, read tolerantly: a value, a text to search, the items of a sequence."""

import unicodedata
from functools import cache
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    DigitalXRayImageStorageForProcessing,
)

_SEPARATORS: Final = str.maketrans(dict.fromkeys("_-./\\,:;()+", " "))


@cache
def tag_of(keyword: str) -> BaseTag:
    """Return the tag of an attribute of the Standard; pydicom looks it up anew each time."""
    return Tag(keyword)


def value_of(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - whatever the attribute holds
    """Return the value of an attribute, None when absent: as `header.get(keyword)`, for less."""
    tag = tag_of(keyword)
    return header[tag].value if tag in header else None


def words(header: Dataset, *keywords: str) -> str:
    """Return the text of attributes, joined: upper case, without accents, separators as spaces."""
    found = []
    for keyword in keywords:
        value = value_of(header, keyword)
        values = value if isinstance(value, MultiValue | list) else [value]
        found += [str(part) for part in values if part is not None]
    plain = " ".join(found)
    if not plain.isascii():
        parts = unicodedata.normalize("NFKD", plain)
        plain = "".join(letter for letter in parts if not unicodedata.combining(letter))
    return " ".join(plain.translate(_SEPARATORS).upper().split())


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; of something else that bears its name, none."""
    value = value_of(header, keyword)
    return list(value) if isinstance(value, Sequence) else []


def is_for_processing(header: Dataset) -> bool:
    """Say whether the film is a raw one: as the detector saw it, not prepared for reading."""
    return (
        words(header, "PresentationIntentType") == "FOR PROCESSING"
        or value_of(header, "SOPClassUID") == DigitalXRayImageStorageForProcessing
    )
