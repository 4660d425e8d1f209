"""Names of persons on the pages: every script, and nothing hidden."""

import pytest

from service.web.review.person_names import shown_name


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^Mary^Dr.^MD", "Doe, Jane Mary Dr. MD"),
        ("Doe", "Doe"),
        ("", ""),
        ("^^", ""),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田 太郎 (Yamada, Tarou)"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "홍 길동 (Hong, Gildong)"),
        ("=王^小東", "王 小東"),
        ("==やまだ^たろう", "やまだ たろう"),
        ("Evil\u202egro\x07", "Evil<202E>gro<0007>"),
    ],
)
def test_the_script_of_the_person_comes_first(value, shown):
    """Family before given; Hangul before Hanja; hidden characters become visible."""
    assert shown_name(value) == shown
