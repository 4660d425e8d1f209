"""Text on images: the shipped font, wrapping by width, characters that the font does not have."""

from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageFont

_FONTS: Final = Path(__file__).parent / "fonts"
# What stands for a character that the font cannot draw.
_MISSING: Final = "\N{WHITE SQUARE}"


@lru_cache(maxsize=64)
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the shipped font in `size` pixels, laid out the same on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(_FONTS / name, size, layout_engine=ImageFont.Layout.BASIC)


def drawable(text: str) -> str:
    """Return `text` with a square in place of each character that the font does not have."""
    if text.isascii():
        return text
    return "".join(letter if has_glyph(letter) else _MISSING for letter in text)


@lru_cache(maxsize=4096)
def has_glyph(letter: str) -> bool:
    """Whether the shipped font draws `letter` as something other than its "missing" box."""
    face = font(24)
    return letter.isspace() or bytes(face.getmask(letter)) != bytes(face.getmask("\uffff"))


def readable_name(name: str) -> str:
    """Return the first component group of a person's name that the font can draw, for people.

    Args:
        name: A PN value: groups (alphabetic, ideographic, phonetic) divided by "=", components by
            "^" (PS3.5 6.2.1).
    """
    groups = [group for group in name.split("=") if group.strip("^ ")]
    best = next((group for group in groups if all(map(has_glyph, group))), "".join(groups[:1]))
    family, *others = best.split("^")
    given = " ".join(part for part in others if part)
    return drawable(", ".join(part for part in (family, given) if part))


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int, limit: int = 1000) -> list[str]:
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


def shorten(text: str, face: ImageFont.FreeTypeFont, width: int) -> str:
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


def _pieces(word: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    if face.getlength(word) <= width:
        return [word]
    pieces = [""]
    for letter in word:
        if pieces[-1] and face.getlength(pieces[-1] + letter) > width:
            pieces.append(letter)
        else:
            pieces[-1] += letter
    return pieces
