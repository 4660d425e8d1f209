"""Which of the shipped fonts draws a letter, and what is said where none of them does.

DejaVu draws the alphabets, Arabic and Hebrew; Droid Sans Fallback Han, kana and Hangul; Noto Sans Thai
and Devanagari. They lie in the package, so that a picture is the same on every machine. Letters that
join, stack or run from right to left are laid out by Raqm, which needs the system's FriBiDi; where that
is missing they are named in words, never drawn in a wrong order.
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
# Fonts whose letters stack and change places: never laid out one letter after the other.
_SHAPED: Final = frozenset({"NotoSansThai-Regular.ttf", "NotoSansDevanagari-Regular.ttf"})
_IN_ORDER: Final = (MAIN, _HAN, *sorted(_SHAPED))
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
# What stands for a sign that no font has and that no script's name tells.
_MISSING: Final = "\N{WHITE SQUARE}"
_SAMPLE: Final = 24
# They turn the order of what follows, and a name could hide behind them.
_DIRECTIONS: Final = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_SCRIPT: Final = re.compile(r"(.+?) (?:LETTER|CHARACTER|SYLLABLE|SYLLABICS|VOWEL|SIGN)\b")
_GAPS: Final = re.compile(r"x[x ]*x|x")


def has_shaping() -> bool:
    """Whether this machine can lay out letters that join, stack or run from right to left."""
    return bool(features.check("raqm"))


@lru_cache(maxsize=4096)
def font_of(letter: str) -> str | None:
    """Return the shipped font that draws `letter` right on this machine, or None."""
    if letter.isspace():
        return MAIN
    found = next((name for name in _IN_ORDER if _draws(name, letter)), None)
    needs_shaping = found in _SHAPED or unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT
    return None if needs_shaping and not has_shaping() else found


def is_han(letter: str) -> bool:
    """Whether `letter` is Han, kana or Hangul, where the family name stands first by itself."""
    return font_of(letter) == _HAN


def drawable(text: str) -> str:
    """Return `text` with words in place of letters that no font has: "[Khmer letters, not drawn here]".

    A single sign without a script's name, such as a rare Han letter, becomes a square.
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
    """Return `text` in runs of one font: the letters, its name, and whether they need shaping.

    Letters that run from right to left may stand anywhere in a line, so that all of the line's main
    font is laid out together.
    """
    if text.isascii():
        return [(text, MAIN, False)]
    turned = has_shaping() and any(
        unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in text
    )
    found: list[tuple[str, str]] = []
    for letter in text:
        last = found[-1][1] if found else ""
        # Joiners belong to the letters before them, whatever font has them too.
        joins = last and unicodedata.category(letter) == "Cf"
        name = last if joins else (font_of(letter) or MAIN)
        if name == last:
            found[-1] = (found[-1][0] + letter, name)
        else:
            found.append((letter, name))
    return [(run, name, name in _SHAPED or (turned and name == MAIN)) for run, name in found]


def load(name: str, size: int, *, shaped: bool) -> ImageFont.FreeTypeFont:
    """Return a shipped font in `size` pixels; `shaped` with Raqm, else one letter after the other."""
    return _load(name, size, ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC)


@lru_cache(maxsize=128)
def _load(name: str, size: int, layout: ImageFont.Layout) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONTS / name, size, layout_engine=layout)


def _draws(name: str, letter: str) -> bool:
    face = load(name, _SAMPLE, shaped=False)
    return bytes(face.getmask(letter)) != bytes(face.getmask("\uffff"))
