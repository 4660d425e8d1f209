"""Letters of all scripts on an image: joined, stacked, in order; a note where none can be drawn."""

import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dicom.drawing import fonts
from dicom.drawing.fonts import drawable, font_of, has_shaping, runs
from dicom.drawing.text_layout import font

shaping = pytest.mark.skipif(not has_shaping(), reason="FriBiDi is not installed on this machine")
ARABIC, HEBREW = "قباني", "כהן"
THAI, DEVANAGARI = "น้ำใจดี", "क्षत्रिय"


def ink(text, size=40):
    """Return where `text` leaves ink, bool [height, width]."""
    picture = Image.new("L", (600, 120))
    font(size).draw(ImageDraw.Draw(picture), (10, 30), text, 255)
    return np.asarray(picture) > 96


@pytest.fixture
def without_shaping(monkeypatch):
    """A machine that has no FriBiDi."""
    monkeypatch.setattr(fonts, "has_shaping", lambda: False)
    font_of.cache_clear()
    yield
    font_of.cache_clear()


@pytest.mark.parametrize(
    "name", ["Müller-Łódź, Ångström, Жуков", "山田 やまだ ヤマダ", "김희중", "王小东 龍"]
)
def test_alphabets_and_han_are_drawn_as_they_are(name):
    """The shipped fonts have Latin, Greek, Cyrillic, Han, kana and Hangul."""
    assert drawable(name) == name


@shaping
@pytest.mark.parametrize("name", [ARABIC, HEBREW, THAI, DEVANAGARI, f"Ref 12, {ARABIC} (Ali)"])
def test_scripts_that_join_or_stack_are_drawn_as_they_are(name):
    """Arabic, Hebrew, Thai and Devanagari are drawn, alone or in a line with Latin."""
    assert drawable(name) == name
    assert ink(name).any()


@shaping
def test_arabic_letters_join():
    """A word is narrower than its letters one by one, since each takes its joined form."""
    apart = sum(font(40).getlength(letter) for letter in ARABIC)
    assert font(40).getlength(ARABIC) < 0.95 * apart


@shaping
@pytest.mark.parametrize(("word", "last"), [(HEBREW, "ן"), ("דוד כהן", "ן")])
def test_hebrew_runs_from_right_to_left(word, last):
    """The word's last letter, which hangs below the line, stands at the left."""
    lowest = np.flatnonzero(ink(word).any(axis=1))[-1]
    where = np.flatnonzero(ink(word)[lowest]).mean()
    middle = np.flatnonzero(ink(word).any(axis=0)).mean()
    assert where < middle
    assert ink(last).any()


@shaping
def test_a_line_stays_left_to_right_with_arabic_in_it():
    """Latin before Arabic stays at the left: only the Arabic word itself is turned."""
    line, latin = ink(f"HH {ARABIC}"), ink("HH")
    width = np.flatnonzero(latin.any(axis=0))[-1]
    # Shaped letters may be a pixel beside unshaped ones.
    assert np.abs(line[:, : width + 1].sum(axis=0) - latin[:, : width + 1].sum(axis=0)).max() <= 8


@shaping
def test_devanagari_forms_conjuncts():
    """Three letters around a virama become one sign, narrower than its parts."""
    assert font(40).getlength("क्ष") < 0.8 * (font(40).getlength("क") + font(40).getlength("ष"))


@shaping
def test_joiners_stay_with_the_letters_before_them():
    """A zero-width joiner within a word does not tear it into two fonts."""
    assert len(runs("क्\u200dष")) == 1


def test_latin_is_laid_out_as_ever_even_beside_han():
    """Only letters that need it pass through the shaping engine."""
    assert runs("Yamada 山田") == [
        ("Yamada ", fonts.MAIN, False),
        ("山田", "DroidSansFallback.ttf", False),
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ခင်, ဒေါ်", "[Myanmar letters, not drawn here]"),
        ("Sok (សុខ) 12", "Sok ([Khmer letters, not drawn here]) 12"),
        ("ꦗꦮ and ᐃᓄᒃ", "[Javanese letters, not drawn here] and ᐃᓄᒃ"),
        ("𠮷田", "□田"),
        ("\U0001f9ec", "□"),
    ],
)
def test_what_no_font_has_is_reported(name, shown):
    """A script without a font is named once for the whole word; a single odd sign is a square."""
    assert drawable(name) == shown
    assert drawable(shown) == shown


@pytest.mark.usefixtures("without_shaping")
def test_without_fribidi_no_letter_is_drawn_in_a_wrong_order():
    """Arabic, Hebrew, Thai and Devanagari are named then; Latin and Han are drawn as before."""
    assert drawable(f"Ali {ARABIC}") == "Ali [Arabic letters, not drawn here]"
    assert drawable(HEBREW) == "[Hebrew letters, not drawn here]"
    assert drawable("ใจดี, สมชาย") == "[Thai letters, not drawn here]"
    assert drawable(DEVANAGARI) == "[Devanagari letters, not drawn here]"
    assert drawable("Müller 山田") == "Müller 山田"


@pytest.mark.parametrize("mark", ["\u202e", "\u202a", "\u2066", "\u2069"])
def test_marks_that_turn_the_order_are_left_out(mark):
    """Invisible marks cannot make a name look like another."""
    assert unicodedata.category(mark) == "Cf"
    assert drawable(f"Mü{mark}ller") == "Müller"


def test_han_and_latin_stand_on_one_line():
    """Letters of both fonts share a baseline, are as wide as measured, and leave no square."""
    face = font(40)
    picture = Image.new("L", (600, 80))
    face.draw(ImageDraw.Draw(picture), (10, 10), "Yamada 山田 김", 255)
    ink = np.asarray(picture) > 128
    columns = np.flatnonzero(ink.any(axis=0))
    assert 10 <= columns[0] < columns[-1] <= 10 + face.getlength("Yamada 山田 김")
    latin, han = ink[:, :160], ink[:, 170:260]
    bottoms = [np.flatnonzero(part.any(axis=1))[-1] for part in (latin, han)]
    # Han letters hang a little below the baseline, as the tail of a y does.
    assert abs(int(bottoms[0]) - int(bottoms[1])) <= 10
