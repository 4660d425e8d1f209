"""Libraries whose internal parts we use, and the versions tested with them.

One adapter module for each library contains all uses of its internal parts and a `Library` record. With
an untested version the adapter uses only public parts (that of pynetdicom also a few internal ones,
which it checks), and `Library.warning` states what is different.
"""

from dataclasses import dataclass
from functools import cache
from importlib import metadata

from dicom.errors import DicomError


class UnsuitableLibrary(DicomError):
    """The installed version of a library lacks a part that every code path needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One library whose internal parts an adapter module uses.

    Attributes:
        name: Name of the distribution on PyPI.
        tested: Versions with which the adapter was tested.
        consequence: What is different with another version, as the end of a sentence.
    """

    name: str
    tested: tuple[str, ...]
    consequence: str

    @property
    def installed(self) -> str:
        """The installed version; "none" if it is not installed."""
        return _installed(self.name)

    @property
    def is_tested(self) -> bool:
        """Whether the adapter was tested with the installed version."""
        return self.installed in self.tested

    @property
    def versions(self) -> str:
        """The installed and the tested versions, for error messages."""
        return f"{self.name} {self.installed} is installed; tested: {', '.join(self.tested)}"

    @property
    def warning(self) -> str:
        """A warning for the administrator about an untested version; "" for a tested one."""
        return "" if self.is_tested else f"{self.versions}; {self.consequence}"


@cache
def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
