"""Tolerant access to the attributes of a header: values, searchable text, sequence items."""

import unicodedata
from functools import cache
from typing import Any, Final

from pydicom.datadict import dictionary_description
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
    """Return the tag of an attribute of the Standard, cached; pydicom looks it up each time."""
    return Tag(keyword)


def named(keyword: str) -> str:
    """Return the name and the tag of an attribute, for a message."""
    return f"{dictionary_description(keyword)} {Tag(keyword)}"


def value_of(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - whatever the attribute holds
    """Return the value of an attribute, or None if absent; a faster `header.get(keyword)`."""
    tag = tag_of(keyword)
    return header[tag].value if tag in header else None


def searchable_text(header: Dataset, *keywords: str) -> str:
    """Return the joined text of attributes in upper case, without accents, separators as spaces."""
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
    """Return the items of a sequence; none if the element is absent or not a sequence."""
    value = value_of(header, keyword)
    return list(value) if isinstance(value, Sequence) else []


def is_for_processing(header: Dataset) -> bool:
    """Return whether the image is FOR PROCESSING: raw detector data, not prepared for reading."""
    return (
        searchable_text(header, "PresentationIntentType") == "FOR PROCESSING"
        or value_of(header, "SOPClassUID") == DigitalXRayImageStorageForProcessing
    )
