"""Choose the shipped font for each character, and a text in place of characters without one.

DejaVu covers the alphabets, Arabic and Hebrew; Droid Sans Fallback covers Han, kana and Hangul; Noto
Sans covers Thai and Devanagari. The fonts are part of the package, so that an image is the same on every
machine. Raqm, which needs the system's FriBiDi, lays out characters that join, stack or run from right
to left. Without FriBiDi a text names their script instead; they are never drawn in a wrong order.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageFont, features

_FONTS: Final = Path(__file__).parent / "fonts"
MAIN: Final = "DejaVuSans.ttf"
MAIN_BOLD: Final = "DejaVuSans-Bold.ttf"
_HAN: Final = "DroidSansFallback.ttf"
# Fonts of scripts whose characters stack and reorder: they always need Raqm.
_SHAPED: Final = frozenset({"NotoSansThai-Regular.ttf", "NotoSansDevanagari-Regular.ttf"})
_IN_ORDER: Final = (MAIN, _HAN, *sorted(_SHAPED))
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
# Replaces a character that no font has and whose Unicode name contains no script.
_MISSING: Final = "\N{WHITE SQUARE}"
_SAMPLE: Final = 24
# Bidirectional controls are removed: they reorder the following text and could disguise a name.
_DIRECTIONS: Final = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_SCRIPT: Final = re.compile(r"(.+?) (?:LETTER|CHARACTER|SYLLABLE|SYLLABICS|VOWEL|SIGN)\b")
_GAPS: Final = re.compile(r"x[x ]*x|x")


def has_shaping() -> bool:
    """Return whether this machine can lay out characters that join, stack or run from right to left."""
    return bool(features.check("raqm"))


@lru_cache(maxsize=4096)
def font_of(letter: str) -> str | None:
    """Return the file name of the shipped font that draws `letter` correctly here, or None."""
    if letter.isspace():
        return MAIN
    found = next((name for name in _IN_ORDER if _draws(name, letter)), None)
    needs_shaping = found in _SHAPED or unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT
    return None if needs_shaping and not has_shaping() else found


def is_han(letter: str) -> bool:
    """Return whether `letter` is Han, kana or Hangul; such names need no comma after the family name."""
    return font_of(letter) == _HAN


def drawable(text: str) -> str:
    """Replace characters that no font can draw: "[Khmer letters, not drawn here]".

    Characters whose Unicode name has no script, such as rare Han characters, become squares.
    """
    if text.isascii():
        return text
    clean = text.translate(_DIRECTIONS)
    kinds = ("x" if font_of(letter) is None else " " if letter in " ," else "." for letter in clean)
    pieces, end = [], 0
    for gap in _GAPS.finditer("".join(kinds)):
        pieces += [clean[end : gap.start()], _instead(clean[gap.start() : gap.end()])]
        end = gap.end()
    return "".join([*pieces, clean[end:]])


def _instead(undrawn: str) -> str:
    scripts = [found[1] for found in map(_script, undrawn) if found]
    if scripts:
        return f"[{scripts[0].title()} letters, not drawn here]"
    return "".join(letter if letter in " ," else _MISSING for letter in undrawn)


def _script(letter: str) -> re.Match[str] | None:
    return _SCRIPT.match(unicodedata.name(letter, ""))


def runs(text: str) -> list[tuple[str, str, bool]]:
    """Return `text` as runs of one font: (characters, font name, whether they need shaping).

    If the line has characters that run from right to left, every run of the main font is shaped.
    """
    if text.isascii():
        return [(text, MAIN, False)]
    turned = has_shaping() and any(
        unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in text
    )
    found: list[tuple[str, str]] = []
    for letter in text:
        last = found[-1][1] if found else ""
        # A joiner must stay in the run of the character before it, even if another font has it.
        joins = last and unicodedata.category(letter) == "Cf"
        name = last if joins else (font_of(letter) or MAIN)
        if name == last:
            found[-1] = (found[-1][0] + letter, name)
        else:
            found.append((letter, name))
    return [(run, name, name in _SHAPED or (turned and name == MAIN)) for run, name in found]


def load(name: str, size: int, *, shaped: bool) -> ImageFont.FreeTypeFont:
    """Return a shipped font of `size` pixels, with Raqm layout if `shaped`, else with basic layout."""
    return _load(name, size, ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC)


@lru_cache(maxsize=128)
def _load(name: str, size: int, layout: ImageFont.Layout) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONTS / name, size, layout_engine=layout)


def _draws(name: str, letter: str) -> bool:
    face = load(name, _SAMPLE, shaped=False)
    return bytes(face.getmask(letter)) != bytes(face.getmask("\uffff"))
