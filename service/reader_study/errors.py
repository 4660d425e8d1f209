"""Errors of reader studies.

ReaderStudyError
├── InvalidReaderStudy    a case list, a rating or another value cannot be used: all faults are named
└── ReaderStudyConflict   the study or the item is in another state: closed, already rated, not yet shown
"""

from service.errors import WetreadError


class ReaderStudyError(WetreadError):
    """Base of the errors of reader studies."""


class InvalidReaderStudy(ReaderStudyError):
    """A value cannot be used; the message names each fault and what to do.

    Attributes:
        faults: One sentence each.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ReaderStudyConflict(ReaderStudyError):
    """The study or the item is in another state; the message says which."""
