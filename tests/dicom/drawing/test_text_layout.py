"""Text in lines of a given width, and names as people read them."""

import pytest

from dicom.drawing.text_layout import fit_size, font, readable_name, shorten, wrap

FACE = font(20)


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("Film^Anna", "Film, Anna"),
        ("Film^Anna^Maria^Dr.", "Film, Anna Maria Dr."),
        ("Film", "Film"),
        ("^Anna", "Anna"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田 太郎)"),
        ("=山田^太郎", "山田 太郎"),
        ("==やまだ^たろう", "やまだ たろう"),
        ("", ""),
        ("^^^=", ""),
    ],
)
def test_a_name_is_readable(name, readable):
    """PS3.5 6.2.1: groups by "=", components by "^"."""
    assert readable_name(name) == readable


def test_lines_are_not_wider_than_asked():
    """Every word is there, in order."""
    text = "There may be a consolidation in the left lower lobe of the lung"
    lines = wrap(text, FACE, 150)
    assert len(lines) > 2
    assert all(FACE.getlength(line) <= 150 for line in lines)
    assert " ".join(lines) == text


def test_a_word_longer_than_a_line_is_broken():
    """No letter is lost."""
    lines = wrap("hepatosplenomegaly" * 3, FACE, 80)
    assert all(FACE.getlength(line) <= 80 for line in lines)
    assert "".join(lines) == "hepatosplenomegaly" * 3


def test_text_beyond_the_last_line_ends_with_an_ellipsis():
    """The reader sees that text was cut."""
    lines = wrap("one two three four five six seven", FACE, 60, limit=2)
    assert len(lines) == 2
    assert lines[-1].endswith("…")


def test_a_shortened_line_fits():
    """A line that fits is unchanged."""
    assert shorten("short", FACE, 500) == "short"
    line = shorten("a line that is much too long", FACE, 100)
    assert line.endswith("…")
    assert FACE.getlength(line) <= 100


def test_the_size_is_the_largest_that_fits():
    """Not below 8, not above the largest that is asked for."""
    lines = ("AI DRAFT", "NOT VERIFIED BY A PHYSICIAN")
    size = fit_size(lines, 300, 90)
    assert max(font(size).getlength(line) for line in lines) <= 303
    assert max(font(size + 2).getlength(line) for line in lines) > 300
    assert fit_size(lines, 5, 90) == 8
    assert fit_size(lines, 10_000, 40) == 40
