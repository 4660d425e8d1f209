"""Split report text into sections and sentences, clean it, and detect references to priors. Pure."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_HEADING = re.compile(r"\b(findings?|impressions?|conclusions?|opinion)\s*:\s*", re.IGNORECASE)
_BEFORE_READING = re.compile(
    r"\b(?:indications?|history|clinical\s+(?:information|indication|statement)"
    r"|reason\s+for\s+(?:the\s+)?(?:exam\w*|study)|comparisons?|technique)\s*:",
    re.IGNORECASE,
)
_IMPRESSION: Final = ("impression", "conclusion", "opinion")
# A full stop before white space ends a sentence ("1.5 cm" has none), except after a one-digit list
# number ("1. ").
_END = re.compile(r"(?<=[.!?])(?<!\b\d\.)\s+|[\r\n]+")
# After a two-digit number the text is split, because it may end a sentence; a number alone is none.
_NUMBER_ONLY = re.compile(r"\d{1,2}[.)]")
_LIST_NUMBER = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+")
_PRIOR = re.compile(
    r"\b(?:unchanged|interval (?:change|increase|decrease|development|improvement|worsening)"
    r"|(?:compared|comparison) (?:to|with)|(?:prior|previous|earlier|preceding|last) "
    r"(?:exam\w*|stud\w+|film\w*|radiograph\w*|x-?rays?|image\w*|report\w*)|again (?:seen|noted)"
    r"|as before|since (?:the )?(?:prior|previous|last)|(?:has|have) (?:increased|decreased|improved|"
    r"worsened|resolved|progressed|developed)|no longer (?:seen|visible|present)|persist(?:s|ent|ing)"
    r"|re-?demonstrat\w+|stable|new(?:ly)?|worsening|improving|improved)\b",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """Return `text` with control, format and unassigned characters replaced by spaces; line breaks stay.

    White space is collapsed to single spaces.
    """
    kept = (
        char if char == "\n" or unicodedata.category(char)[0] != "C" else " "
        for char in text.replace("\r", "\n").replace("\N{REPLACEMENT CHARACTER}", " ")
    )
    return re.sub(r"[^\S\n]+", " ", "".join(kept)).strip()


def sentences(text: str) -> tuple[str, ...]:
    """Return the sentences of `text` in order, each on one line and without list numbers."""
    pieces = (_LIST_NUMBER.sub("", piece) for piece in _END.split(_LIST_NUMBER.sub("", text)))
    stripped = (" ".join(piece.split()) for piece in pieces)
    return tuple(
        piece
        for piece in stripped
        if any(char.isalnum() for char in piece) and not _NUMBER_ONLY.fullmatch(piece)
    )


def without_history_sections(text: str) -> str:
    """Return `text` without the sections indication, history, comparison and technique.

    They are removed only before a heading of findings or impression; elsewhere their end is unknown.
    """
    reading = _HEADING.search(text)
    if reading is None:
        return text
    before = _BEFORE_READING.search(text, 0, reading.start())
    return text if before is None else f"{text[: before.start()]}\n{text[reading.start() :]}"


def sections(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sentences of the findings and of the impression.

    Text before the first heading, or without headings, counts as findings.
    """
    findings: list[str] = []
    impression: list[str] = []
    pieces = _HEADING.split(text)
    findings += sentences(pieces[0])
    for heading, body in zip(pieces[1::2], pieces[2::2], strict=True):
        part = impression if heading.lower().startswith(_IMPRESSION) else findings
        part += sentences(body)
    return tuple(findings), tuple(impression)


def compares_with_prior(lines: Iterable[str]) -> bool:
    """Return whether a sentence refers to an earlier image; no model gets one."""
    return any(_PRIOR.search(line) for line in lines)
