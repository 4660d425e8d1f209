"""Libraries of which we use internal parts, and the versions with which that was tried.

One adapter module for each library holds every use of its internal parts and a `Library` record. On a
version that was not tried the adapter uses public parts only, and the record says so.
"""

from dataclasses import dataclass
from functools import cache
from importlib import metadata

from dicom.errors import DicomError


class UnsuitableLibrary(DicomError):
    """The installed version of a library lacks what no path of ours can do without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One library whose internal parts an adapter module uses.

    Attributes:
        name: Of the distribution, as pip knows it.
        tried: Versions with which the adapter was tested.
        otherwise: What is different with another version, as the rest of a sentence.
    """

    name: str
    tried: tuple[str, ...]
    otherwise: str

    @property
    def installed(self) -> str:
        """The installed version; "none" when there is none."""
        return _installed(self.name)

    @property
    def is_tried(self) -> bool:
        """Whether the internal parts of the installed version are known."""
        return self.installed in self.tried

    @property
    def versions(self) -> str:
        """The installed and the tried versions, for an error's sentence."""
        return f"{self.name} {self.installed} is installed; tried: {', '.join(self.tried)}"

    @property
    def warning(self) -> str:
        """What an administrator should know of the installed version; "" when it was tried."""
        return "" if self.is_tried else f"{self.versions}; {self.otherwise}"


@cache
def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
