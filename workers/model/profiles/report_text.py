"""Reads an answer by its profile: where it begins and ends, and which sections are the report."""

import re
from collections.abc import Sequence
from typing import Final

from workers.model.profiles.profile import AnswerForm

FINDINGS: Final = "FINDINGS:"
IMPRESSION: Final = "IMPRESSION:"
# Marks of Markdown around headings and words.
_MARKDOWN = re.compile(r"\*\*|__|^[ \t]*#{1,6}[ \t]*", re.MULTILINE)


def ended(text: str, form: AnswerForm) -> str:
    """Return the part of an answer before the first of the stop words."""
    found = [at for word in form.stop if (at := text.find(word)) >= 0]
    return text[: min(found)] if found else text


def report_text(text: str, form: AnswerForm) -> str:
    """Return an answer with `FINDINGS:` and `IMPRESSION:` as its only headings.

    Text before the first heading, or without headings, stays as it is; sections that are left out go.

    Args:
        text: The answer as the model wrote it.
        form: The profile's headings.
    """
    text = ended(text, form)
    if form.begins_after and form.begins_after in text:
        text = text.rsplit(form.begins_after, 1)[1]
    text = _MARKDOWN.sub("", text)
    found = list(_heading(form).finditer(text))
    if not found:
        return text.strip()
    kept = [] if form.only_sections else [text[: found[0].start()].strip()]
    ends = [*(one.start() for one in found[1:]), len(text)]
    for one, end in zip(found, ends, strict=True):
        title = _title(one[1] or one[2], form)
        if title:
            kept.append(f"{title} {text[one.end() : end].strip()}")
    return "\n".join(piece for piece in kept if piece)


def _title(heading: str, form: AnswerForm) -> str:
    if _is_one_of(heading, form.impression):
        return IMPRESSION
    return FINDINGS if _is_one_of(heading, form.findings) else ""


def _is_one_of(heading: str, names: Sequence[str]) -> bool:
    return " ".join(heading.split()).casefold() in {name.casefold() for name in names}


def _heading(form: AnswerForm) -> re.Pattern[str]:
    """Return the pattern of a heading: alone on its line (group 1) or before a colon (group 2)."""
    every = sorted({*form.findings, *form.impression, *form.left_out}, key=len, reverse=True)
    names = "|".join(r"\s+".join(map(re.escape, name.split())) for name in every) or r"(?!)"
    pattern = rf"^[ \t]*({names})[ \t]*$|(?<!\w)({names})[ \t]*:[ \t]*"
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)
