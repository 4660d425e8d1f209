"""Checks the libraries that are needed to draw result images."""

from dicom.drawing.fonts import has_shaping
from service.checks.check import Outcome


def pictures() -> Outcome:
    """Return the scripts in which names can be drawn: some need text shaping (Raqm with FriBiDi)."""
    if has_shaping():
        return Outcome("names in every script of the shipped fonts")
    return Outcome(
        "names in Arabic, Hebrew, Thai and Devanagari cannot be drawn: install FriBiDi "
        "(libfribidi0) for them"
    )
