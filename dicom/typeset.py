"""Text on images: the shipped fonts, wrapping by width, characters that no font of ours has.

DejaVu draws the alphabets; where it has no glyph, Droid Sans Fallback draws Han, kana and Hangul. Both
lie in the package, so that a picture is the same on every machine.
"""

from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Final

from PIL import ImageDraw, ImageFont

_FONTS: Final = Path(__file__).parent / "fonts"
# What stands for a character that no font can draw.
_MISSING: Final = "\N{WHITE SQUARE}"
_SAMPLE: Final = 24


class Face:
    """One size of our fonts, which draws each character in the first of them that has it."""

    def __init__(self, size: int, *, bold: bool = False) -> None:
        self.size = size
        self._main = _load("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf", size)

    @cached_property
    def _fallback(self) -> ImageFont.FreeTypeFont:
        return _load("DroidSansFallback.ttf", self.size)

    def getlength(self, text: str) -> float:
        """Return the width of `text` in pixels."""
        return sum(face.getlength(run) for run, face in self._runs(text))

    def draw(
        self,
        pen: ImageDraw.ImageDraw,
        at: tuple[float, float],
        text: str,
        fill: int | tuple[int, int, int],
        anchor: str = "la",
    ) -> None:
        """Draw `text` on one line.

        Args:
            pen: What draws on the picture.
            at: The point that `anchor` says, in pixels.
            text: Characters without a glyph become squares.
            fill: Colour, or level of grey.
            anchor: "la" the left end at the ascender, "lm" the left end, "mm" the middle.
        """
        runs = self._runs(drawable(text))
        x, y = at
        if anchor[0] == "m":
            x -= sum(face.getlength(run) for run, face in runs) / 2
        ascent, descent = self._main.getmetrics()
        baseline = y + ascent - (0 if anchor[1] == "a" else (ascent + descent) / 2)
        for run, face in runs:
            pen.text((x, baseline), run, font=face, fill=fill, anchor="ls")
            x += face.getlength(run)

    def _runs(self, text: str) -> list[tuple[str, ImageFont.FreeTypeFont]]:
        if text.isascii():
            return [(text, self._main)]
        runs = groupby(text, key=_is_in_main)
        return [("".join(run), self._main if main else self._fallback) for main, run in runs]


@lru_cache(maxsize=64)
def font(size: int, *, bold: bool = False) -> Face:
    """Return the shipped fonts in `size` pixels, laid out the same on every machine."""
    return Face(size, bold=bold)


def drawable(text: str) -> str:
    """Return `text` with a square in place of each character that no font has."""
    if text.isascii():
        return text
    return "".join(letter if has_glyph(letter) else _MISSING for letter in text)


@lru_cache(maxsize=4096)
def has_glyph(letter: str) -> bool:
    """Whether one of the shipped fonts draws `letter` as something other than its "missing" box."""
    return _is_in_main(letter) or _draws(_load("DroidSansFallback.ttf", _SAMPLE), letter)


def readable_name(name: str) -> str:
    """Return a person's name for people: the alphabetic group, the ideographic one in brackets.

    Args:
        name: A PN value: groups (alphabetic, ideographic, phonetic) divided by "=", components by
            "^" (PS3.5 6.2.1).
    """
    groups = [_group(group) for group in name.split("=")[:2] if group.strip("^ ")]
    if not groups:
        groups = [_group(group) for group in name.split("=")[2:] if group.strip("^ ")]
    first, *others = groups or [""]
    return drawable(f"{first} ({others[0]})" if others else first)


def _group(group: str) -> str:
    family, *others = group.split("^")
    given = " ".join(part for part in others if part)
    # In Han, kana and Hangul the family name stands first by itself.
    between = ", " if all(map(_is_in_main, family)) else " "
    return between.join(part for part in (family, given) if part)


@lru_cache(maxsize=4096)
def _is_in_main(letter: str) -> bool:
    return letter.isspace() or _draws(_load("DejaVuSans.ttf", _SAMPLE), letter)


def _draws(face: ImageFont.FreeTypeFont, letter: str) -> bool:
    return bytes(face.getmask(letter)) != bytes(face.getmask("\uffff"))


@lru_cache(maxsize=128)
def _load(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONTS / name, size, layout_engine=ImageFont.Layout.BASIC)


def wrap(text: str, face: Face, width: int, limit: int = 1000) -> list[str]:
    """Return `text` in lines of at most `width` pixels, at most `limit` of them.

    Words longer than a line are broken. Where `limit` cuts, the last line ends with an ellipsis.
    """
    lines: list[str] = []
    for word in drawable(text).split():
        for piece in _pieces(word, face, width):
            joined = f"{lines[-1]} {piece}" if lines else piece
            if lines and face.getlength(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(piece)
        if len(lines) > limit:
            return [*lines[: limit - 1], shorten(f"{lines[limit - 1]} …", face, width)]
    return lines


def shorten(text: str, face: Face, width: int) -> str:
    """Return `text` on one line of at most `width` pixels, an ellipsis where it was cut."""
    line = drawable(text)
    if face.getlength(line) <= width:
        return line
    while line and face.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def fit_size(lines: tuple[str, ...], width: int, largest: int, *, bold: bool = False) -> int:
    """Return the largest font size, at most `largest`, at which each of `lines` fits `width`."""
    longest = max(font(100, bold=bold).getlength(line) for line in lines)
    return max(8, min(largest, int(100 * width / max(longest, 1.0))))


def _pieces(word: str, face: Face, width: int) -> list[str]:
    if face.getlength(word) <= width:
        return [word]
    pieces = [""]
    for letter in word:
        if pieces[-1] and face.getlength(pieces[-1] + letter) > width:
            pieces.append(letter)
        else:
            pieces[-1] += letter
    return pieces
