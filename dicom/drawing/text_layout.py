"""Text on images: font sizes, wrapping by width, person names in readable form."""

from functools import lru_cache

from PIL import ImageDraw, ImageFont

from dicom.drawing.fonts import MAIN, MAIN_BOLD, drawable, is_han, load, runs


class Face:
    """One size of the shipped fonts; each character is drawn with the first font that has it."""

    def __init__(self, size: int, *, bold: bool = False) -> None:
        self.size = size
        self._bold = bold
        self._main = load(MAIN_BOLD if bold else MAIN, size, shaped=False)

    def getlength(self, text: str) -> float:
        """Return the width of `text` in pixels."""
        return sum(_width(run, face) for run, face in self._runs(text))

    def draw(
        self,
        pen: ImageDraw.ImageDraw,
        at: tuple[float, float],
        text: str,
        fill: int | tuple[int, int, int],
        anchor: str = "la",
    ) -> None:
        """Draw `text` on one line, its runs from left to right.

        Args:
            pen: Drawing context of the image.
            at: Position of the anchor point, in pixels.
            text: The text; characters that no font has are replaced (see `drawable`).
            fill: Color, or gray level.
            anchor: "la" left end at the ascender, "lm" left end at mid height, "mm" the center.
        """
        pieces = self._runs(drawable(text))
        x, y = at
        if anchor[0] == "m":
            x -= sum(_width(run, face) for run, face in pieces) / 2
        ascent, descent = self._main.getmetrics()
        baseline = y + ascent - (0 if anchor[1] == "a" else (ascent + descent) / 2)
        for run, face in pieces:
            direction = _direction(face)
            pen.text((x, baseline), run, font=face, fill=fill, anchor="ls", direction=direction)
            x += _width(run, face)

    def _runs(self, text: str) -> list[tuple[str, ImageFont.FreeTypeFont]]:
        return [(run, self._font(name, shaped=shaped)) for run, name, shaped in runs(text)]

    def _font(self, name: str, *, shaped: bool) -> ImageFont.FreeTypeFont:
        if name == MAIN and not shaped:
            return self._main
        return load(MAIN_BOLD if self._bold and name == MAIN else name, self.size, shaped=shaped)


def _direction(face: ImageFont.FreeTypeFont) -> str | None:
    """Return the direction for Raqm, left to right; basic layout takes none."""
    return "ltr" if face.layout_engine == ImageFont.Layout.RAQM else None


def _width(run: str, face: ImageFont.FreeTypeFont) -> float:
    return face.getlength(run, direction=_direction(face))


@lru_cache(maxsize=64)
def font(size: int, *, bold: bool = False) -> Face:
    """Return the shipped fonts in `size` pixels."""
    return Face(size, bold=bold)


def readable_name(name: str) -> str:
    """Return a person name in readable form: the alphabetic group, the ideographic one in parentheses.

    Args:
        name: A PN value: groups (alphabetic, ideographic, phonetic) separated by "=", components by
            "^" (PS3.5 6.2.1). The phonetic group is used only if the other two are empty.
    """
    groups = [_group(group) for group in name.split("=")[:2] if group.strip("^ ")]
    if not groups:
        groups = [_group(group) for group in name.split("=")[2:] if group.strip("^ ")]
    first, *others = groups or [""]
    return drawable(f"{first} ({others[0]})" if others else first)


def _group(group: str) -> str:
    family, *others = group.split("^")
    given = " ".join(part for part in others if part)
    between = " " if any(map(is_han, family)) else ", "
    return between.join(part for part in (family, given) if part)


def wrap(text: str, face: Face, width: int, limit: int = 1000) -> list[str]:
    """Return `text` as at most `limit` lines of at most `width` pixels.

    Words longer than a line are broken. If the text is cut, the last line ends with an ellipsis.
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
    """Return `text` as one line of at most `width` pixels, cut with an ellipsis if necessary."""
    line = drawable(text)
    if face.getlength(line) <= width:
        return line
    while line and face.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def fit_size(lines: tuple[str, ...], width: int, largest: int, *, bold: bool = False) -> int:
    """Return the largest font size, 8 to `largest`, at which each line fits `width`; 8 if none does."""
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
