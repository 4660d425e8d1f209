"""AE titles and UIDs, by PS3.5 6.2 and 9.1."""

import pytest

from dicom.errors import InvalidIdentifier
from dicom.identifiers import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    check_ae_title,
    check_uid,
    derived_uid,
    follows_standard,
    uid_value,
)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.1", "0.0", "1.2.03", f"1.{'2' * 62}"])
def test_a_uid_of_dotted_numbers_is_accepted(uid):
    """Leading zeros too: modalities send them."""
    assert check_uid(uid) == uid


@pytest.mark.parametrize(
    "uid", ["", "1", "1.", ".1", "1..2", "1.a", "../1.2", "1.2\n", "1.2\0", "1.٣", f"1.{'2' * 63}"]
)
def test_anything_else_is_no_uid(uid):
    """A UID unsafe in a path or a table is refused, with the attribute's name."""
    with pytest.raises(InvalidIdentifier, match="Study Instance UID is not a valid UID"):
        check_uid(uid, "Study Instance UID")


def test_a_strict_uid_has_no_leading_zero():
    """PS3.5 9.1: a component is 0 or begins with another digit."""
    assert follows_standard("1.0.2")
    assert not follows_standard("1.02")
    assert not follows_standard(f"1.{'2' * 63}")
    assert follows_standard(IMPLEMENTATION_CLASS_UID)
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16


def test_padding_of_a_uid_is_not_part_of_it():
    """Up to the first NUL; spaces at the end are incorrect padding."""
    assert uid_value("1.2.3\0") == "1.2.3"
    assert uid_value("1.2.3\0garbage") == "1.2.3"
    assert uid_value("1.2.3 ") == "1.2.3"


@pytest.mark.parametrize(("title", "clean"), [("CR1", "CR1"), (" CR 1 ", "CR 1"), ("A" * 16,) * 2])
def test_an_ae_title_has_no_spaces_around_it(title, clean):
    """Spaces at both ends are not significant."""
    assert check_ae_title(title) == clean


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "CR\\1", "CR\n1", "CRÄ"])
def test_anything_else_is_no_ae_title(title):
    """Blank, too long, or with a character outside of the repertoire."""
    with pytest.raises(InvalidIdentifier, match="not a valid AE title"):
        check_ae_title(title)


def test_a_derived_uid_depends_on_every_part_and_their_order():
    """Equal parts give an equal UID, in this process and in any other."""
    assert derived_uid("draft", "job") == derived_uid("draft", "job")
    made = [
        derived_uid("draft", "job"),
        derived_uid("job", "draft"),
        derived_uid("draft", "job", 1),
        derived_uid("draft", ["job", "1"]),
        derived_uid("draft", ["1", "job"]),
    ]
    assert len(set(made)) == len(made)
    assert all(follows_standard(uid) and len(uid) <= 44 for uid in made)
    assert derived_uid("a", "b") == "2.25.235220115307737751520539343665612691641"
