"""Faults of the input: all of them are collected and listed at once; nothing is read before that."""

from collections.abc import Iterable

from service.errors import ConfigurationError


class InputFaults(ConfigurationError):
    """Studies, truth or folder cannot be used.

    Attributes:
        faults: A sentence each, which names the file and the line.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


def raise_if_any(faults: Iterable[str]) -> None:
    """Check that there is no fault.

    Raises:
        InputFaults: There is one, or several.
    """
    listed = tuple(faults)
    if listed:
        raise InputFaults(listed)
