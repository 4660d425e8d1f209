"""The scan of undecoded elements: where they end, what is counted, what is refused (PS3.5 7.1, 7.5)."""

import struct

import pytest

from dicom.errors import InvalidDataset, LimitExceeded
from dicom.parsing.element_scanner import (
    ElementScanner,
    HeaderLimits,
    NeedMoreBytes,
    looks_like_vr,
    usual_vr,
)

UNDEFINED = 0xFFFFFFFF
PATIENT_ID, SEQUENCE = 0x00100020, 0x00081140


def explicit(tag, vr, value, length=None):
    """Return an element in explicit VR little endian."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    length = len(value) if length is None else length
    if vr in {"SQ", "OB", "OW", "UN"}:
        return head + struct.pack("<HL", 0, length) + value
    return head + struct.pack("<H", length) + value


def implicit(tag, value, length=None):
    """Return an element in implicit VR little endian, or an item."""
    length = len(value) if length is None else length
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length) + value


def item(content, length=None):
    """Return an item of a sequence."""
    return implicit(0xFFFEE000, content, length)


ITEM_END, SEQUENCE_END = implicit(0xFFFEE00D, b""), implicit(0xFFFEE0DD, b"")


def scanned(data, *, explicit=True, order="<", size=None, recorded=(), **limits):
    """Return the scanner after a pass over a data set, and where that ended."""
    scanner = ElementScanner(
        data,
        len(data) if size is None else size,
        order,
        HeaderLimits(**limits),
        recorded=frozenset(recorded),
    )
    return scanner, scanner.dataset(0, scanner.size, explicit=explicit)


ELEMENTS = explicit(0x00080060, "CS", b"DX") + explicit(PATIENT_ID, "LO", b"AB\\C")


def test_elements_are_found_with_their_places():
    """Tag, VR, offsets of tag, value and end."""
    scanner, end = scanned(ELEMENTS, recorded=[PATIENT_ID])
    (found,) = scanner.found
    assert found == (PATIENT_ID, "LO", 10, 18, 22)
    assert (end, scanner.elements, scanner.regular, scanner.all_defined) == (22, 2, True, True)


def test_implicit_vr_and_big_endian():
    """The VR is that of the dictionary; numbers may have the other byte order."""
    scanner, end = scanned(implicit(PATIENT_ID, b"ABCD"), explicit=False, recorded=[PATIENT_ID])
    assert scanner.found == [(PATIENT_ID, None, 0, 8, 12)]
    big = struct.pack(">HH2sH", 0x0010, 0x0020, b"LO", 4) + b"ABCD"
    scanner, end = scanned(big, order=">", recorded=[PATIENT_ID])
    assert (scanner.found[0].value, end) == (8, 12)


@pytest.mark.parametrize("length", [None, UNDEFINED])
def test_a_sequence_ends_by_its_length_or_its_delimiter(length):
    """Both forms give the same elements after it."""
    inner = explicit(PATIENT_ID, "LO", b"AB")
    content = item(inner + (ITEM_END if length else b""), length) + (
        SEQUENCE_END if length else b""
    )
    data = explicit(SEQUENCE, "SQ", content, length) + explicit(0x00104000, "LT", b"ok")
    scanner, end = scanned(data, recorded=[PATIENT_ID, 0x00104000])
    assert end == len(data)
    assert scanner.found[-1].tag == 0x00104000
    assert scanner.all_defined is (length is None)
    assert scanner.elements == (4 if length is None else 5)


def test_the_next_group_ends_a_data_set_of_one_group():
    """As the file meta group ends before the data set."""
    scanner = ElementScanner(ELEMENTS, len(ELEMENTS), "<", HeaderLimits())
    assert scanner.dataset(0, len(ELEMENTS), explicit=True, groups=range(8, 9)) == 10


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (explicit(PATIENT_ID, "LO", b"AB", 40), r"\(0010,0020\) declares 40 bytes where 2"),
        (explicit(SEQUENCE, "SQ", implicit(0x00100010, b"x"), UNDEFINED), "not an item"),
        (explicit(SEQUENCE, "SQ", item(b"", 400), UNDEFINED), "longer than its sequence"),
        (explicit(SEQUENCE, "SQ", b"", UNDEFINED)[:10], "ends within an element"),
    ],
)
def test_wrong_lengths_are_refused(data, problem):
    """Before anything is read by them."""
    with pytest.raises(InvalidDataset, match=problem):
        scanned(data)


@pytest.mark.parametrize(
    ("data", "limits", "problem"),
    [
        (ELEMENTS * 3, {"max_elements": 5}, "more than 5 elements"),
        (ELEMENTS * 3, {"max_text": 9}, "more than 9 bytes of text"),
        (explicit(0x00420011, "OB", bytes(100)), {"max_bytes": 50}, "longer than 50 bytes"),
    ],
)
def test_limits_are_counted(data, limits, problem):
    """Elements, text of several values, and bytes."""
    with pytest.raises(LimitExceeded, match=problem):
        scanned(data, **limits)


def test_nesting_is_limited():
    """Seventeen sequences in one another are too deep, sixteen are not."""
    data = b""
    for depth in range(1, 18):
        data = explicit(SEQUENCE, "SQ", item(data))
        if depth == 16:
            scanned(data)
    with pytest.raises(LimitExceeded, match="nested deeper than 16"):
        scanned(data)


def test_a_window_that_ends_early_asks_for_more():
    """The data set is longer than the bytes that were read."""
    with pytest.raises(NeedMoreBytes):
        scanned(ELEMENTS[:18], size=len(ELEMENTS))


def test_an_unknown_vr_makes_the_scan_irregular():
    """Pydicom may then divide the bytes in another way."""
    scanner, _ = scanned(explicit(0x00091001, "ZZ", b"ab") + ELEMENTS)
    assert not scanner.regular
    assert scanned(ELEMENTS)[0].regular


@pytest.mark.parametrize(
    ("raw", "expected"), [(b"LO", True), (b"ZZ", True), (b"lo", False), (b"\x04\x00", False)]
)
def test_two_capitals_are_a_vr(raw, expected):
    """Anything else is a length in implicit VR."""
    assert looks_like_vr(raw) is expected


def test_the_usual_vr_is_that_of_the_dictionary():
    """Private and unknown tags are UN."""
    assert usual_vr(PATIENT_ID) == "LO"
    assert usual_vr(0x00091001) == "UN"
