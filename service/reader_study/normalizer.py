"""One form for all texts of a reader study, so that layout does not show who wrote them. Pure.

Removed are headings, list marks, histories and signatures, our warning, and repeated sentences; each
sentence becomes one line that begins with a capital letter and ends with a full stop. Words are not
changed: what a text says may still show its author, and `telltales` names what is known to.
"""

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from dicom.content.phrases import FOOTER, NO_FINDINGS_TEXT, NOT_CODED, NOT_MENTIONED_NOTE
from service.sentence import capitalized, ended

_ASCII: Final = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{MINUS SIGN}": "-",
        "\N{REPLACEMENT CHARACTER}": " ",
    }
)
_READING: Final = r"findings?|impressions?|conclusions?|opinion|summary|report|body|results?"
_OTHER: Final = (
    r"indications?|(?:clinical\s+)?history|clinical\s+(?:information|indication|statement)"
    r"|reason\s+for\s+(?:the\s+)?(?:exam\w*|study)|comparisons?|technique|procedure|exam(?:ination)?"
    r"|notes?\s+of\s+the\s+ai|caveat|limitations?|scores?|model|not\s+read\s+by\s+the\s+ai"
)
_HEADING: Final = re.compile(
    rf"(?:^|\n|(?<=[.!?])\s)[ \t*#>_-]*(?:(?P<reading>{_READING})|(?P<other>{_OTHER})|(?P<note>notes?))"
    r"[ \t*_]*(?::[ \t*_]*|(?=\n|$))",
    re.IGNORECASE,
)
_MARK: Final = re.compile(r"^\s*(?:(?:\(?\d{1,2}[.)]|[a-z][.)]|[-*•▪◦–>#])\s+)+", re.IGNORECASE)
_END: Final = re.compile(r"(?<=[.!?])\s+|\n+")
# Within a line only after the end of a sentence: "a nodule of 5. Normal heart." has no list number.
_NUMBER: Final = re.compile(r"(?<=[.!?:] )\(?\d{1,2}[.)]\s+(?=\S)")
_FIRST_SENTENCE: Final = re.compile(r".*?[.!?](?:\s+|$)")
_WRAPPED: Final = re.compile(r"(?<=[^.!?:;\n])\n(?=[a-z])")
_SIGNATURE: Final = re.compile(
    r"\b(?:electronically\s+signed|signed\s+by|dictated\s+by|transcribed\s+by"
    r"|end\s+of\s+report)\b"
    # Within a sentence these may be words about a finding.
    r"|(?:^|(?<=[.!?]\s))(?:(?:reported|verified|approved)\s+by"
    r"|attending\s+(?:physician|radiologist))\b",
    re.IGNORECASE,
)
_OUR_WORDS: Final = re.compile(
    r"unverified\s+ai\s+draft|not\s+for\s+primary\s+diagnosis|written\s+by\s+software"
    r"|not\s+reviewed\s+by\s+a\s+radiologist|\bai\s+draft\b|generated\s+by\s+(?:ai|software)",
    re.IGNORECASE,
)
_OUR_SENTENCES: Final = frozenset(
    sentence.casefold()
    for text in (FOOTER, NO_FINDINGS_TEXT, NOT_CODED, NOT_MENTIONED_NOTE)
    for sentence in re.split(r"(?<=[.!?:])\s+", text)
)
_DEIDENTIFIED: Final = re.compile(r"x{3,}|_{3,}|\[\*\*.*?\*\*\]|\[(?:name|date|redacted)\]", re.I)
_PERSON: Final = re.compile(
    r"\b(?:dr|prof|m\.?d)\.?\s+[A-Z]|\bnotified\b|\btelephone\b|\bdiscussed\b"
)
_COMPARES: Final = re.compile(
    r"\b(?:unchanged|compar(?:ed|ison)|prior|previous|interval|stable|again (?:seen|noted))\b", re.I
)
_LAYOUT: Final = re.compile(r"[^\S\n]+")


class Telltale(StrEnum):
    """What in a normalized text may show its author."""

    DEIDENTIFIED = "marks of removed names or dates (XXXX, ___)"
    PERSON = "names of persons, or a message to one"
    COMPARES = "a comparison with an earlier image"


def normalized(text: str) -> str:
    """Return a text in the common form, one sentence a line; "" if nothing remains."""
    sentences: list[str] = []
    seen: set[str] = set()
    for each in _sentences(_body(_plain(text))):
        key = re.sub(r"\W+", " ", each).strip().casefold()
        if key and key not in seen:
            seen.add(key)
            sentences.append(each)
    return "\n".join(sentences)


def telltales(text: str) -> frozenset[Telltale]:
    """Return what in a normalized text may show its author."""
    patterns = (
        (Telltale.DEIDENTIFIED, _DEIDENTIFIED),
        (Telltale.PERSON, _PERSON),
        (Telltale.COMPARES, _COMPARES),
    )
    return frozenset(word for word, pattern in patterns if pattern.search(text))


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = (
        char if char == "\n" or unicodedata.category(char)[0] != "C" else " "
        for char in folded.translate(_ASCII)
    )
    lines = "\n".join(line.strip() for line in _LAYOUT.sub(" ", "".join(kept)).split("\n"))
    return _WRAPPED.sub(" ", lines).strip()


def _body(text: str) -> str:
    """Return the text without headings, and without the sections that are no findings.

    Such a section ends at the next heading, at an empty line, and one whose heading stands within a
    line at the end of that line. The last one ends with its first sentence if that is in the line of
    the heading and the text is not ours. A note is left out of our texts only. To remove a statement
    about the image would make the text worse than it is.
    """
    headings, is_ours = list(_HEADING.finditer(text)), bool(_OUR_WORDS.search(text))
    begins = [0, *(each.end() for each in headings)]
    ends = [*(each.start() for each in headings), len(text)]
    parts = [text[begins[0] : ends[0]]]
    for number, heading in enumerate(headings, start=1):
        section = text[begins[number] : ends[number]]
        is_last = number == len(headings) and not is_ours
        if heading["other"] or (heading["note"] and is_ours):
            section = _behind(section, is_inline=_is_inline(text, heading), is_last=is_last)
        parts.append(section)
    return "\n".join(parts)


def _is_inline(text: str, heading: re.Match[str]) -> bool:
    """Return whether there is text before a heading in its line."""
    start = heading.start(heading.lastgroup or 0)
    return any(char.isalnum() for char in text[text.rfind("\n", 0, start) + 1 : start])


def _behind(section: str, *, is_inline: bool, is_last: bool) -> str:
    """Return what follows a section that is no finding, up to the next heading."""
    first, _, lines = section.partition("\n")
    if is_last and first.strip():
        sentence = _FIRST_SENTENCE.match(first)
        behind = first[sentence.end() :] if sentence else ""
    else:
        behind = ""
    after = lines if is_inline else section.lstrip("\n").partition("\n\n")[2]
    return f"{behind}\n{after}"


def _sentences(text: str) -> Iterable[str]:
    for line in text.split("\n"):
        # A signature takes the rest of its line, which has the name.
        unsigned = _SIGNATURE.split(line, maxsplit=1)[0]
        unnumbered = _NUMBER.sub("\n", _MARK.sub("", unsigned))
        for piece in _END.split(unnumbered):
            words = " ".join(_MARK.sub("", piece).split()).strip(" ;,-*_")
            if any(char.isalnum() for char in words) and not _is_foreign(words):
                yield _sentence(words)


def _is_foreign(words: str) -> bool:
    """Return whether a sentence is our own warning, and no statement about the image."""
    return bool(_OUR_WORDS.search(words)) or words.casefold() in _OUR_SENTENCES


def _sentence(words: str) -> str:
    letters = [char for char in words if char.isalpha()]
    # A text in capitals shows the system that it was written in; abbreviations stay.
    if len(letters) > 12 and all(char.isupper() for char in letters):
        words = words.lower()
    return ended(capitalized(words))
