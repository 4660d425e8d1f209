"""File names of identifiers."""

import pytest

from workers.evaluation.safe_names import picture_name, safe_name


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("1.2.840", "1.2.840"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("../../etc", "%2E.%2F..%2Fetc"),
        ("a b/ä", "a%20b%2F%C3%A4"),
        ("a\0b", "a%00b"),
    ],
)
def test_no_name_leads_out_of_a_folder(identifier, name):
    """Plain ones are themselves."""
    assert safe_name(identifier) == name
    assert picture_name(identifier) == f"images/{name}.jpg"


def test_long_identifiers_stay_different():
    """And short enough for a file system."""
    names = {safe_name("x" * 500 + str(number)) for number in range(3)}
    assert len(names) == 3
    assert all(len(name) < 200 for name in names)
