"""The stream of parts: whole bodies in any pieces, and bodies that are not multipart."""

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom.dicomweb.multipart import (
    InvalidMultipart,
    MultipartLimits,
    MultipartReader,
    PartBegins,
    PartEnds,
    TooManyParts,
    check_boundary,
    media_type,
)

HEAD = b"--b\r\nContent-Type: application/dicom\r\n\r\n"


def read(pieces, boundary="b", **limits):
    """Return (headers, content) of each part of a body that comes in `pieces`."""
    reader = MultipartReader(boundary, MultipartLimits(**limits))
    parts = []
    for piece in pieces:
        reader.feed(piece)
        for event in reader.events():
            if isinstance(event, PartBegins):
                headers, content = event.headers, b""
            elif isinstance(event, PartEnds):
                parts.append((headers, content))
            else:
                content += event
    reader.end()
    return parts


def cut(body, places):
    """Return `body` in pieces that end at `places`."""
    ends = [0, *sorted({place % (len(body) + 1) for place in places}), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(ends)]


# Contents made of the characters of delimiters are the difficult ones.
CONTENT = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"b", b"\r\n--", b"x"])).map(
    b"".join
)


@given(
    contents=st.lists(CONTENT, min_size=1, max_size=4),
    places=st.lists(st.integers(0, 500), max_size=12),
    preamble=st.sampled_from([b"", b"\r\n", b"This is a multipart message.\r\n"]),
    padding=st.sampled_from([b"", b" ", b" \t"]),
)
def test_parts_are_the_same_whatever_pieces_they_come_in(contents, places, preamble, padding):
    """However the body is cut, each part's content is what was sent, to the byte."""
    contents = [each for each in contents if b"\r\n--b" not in b"\r\n" + each]
    delimiter = b"--b" + padding + b"\r\nContent-Type: x\r\n\r\n"
    body = preamble + b"".join(delimiter + each + b"\r\n" for each in contents) + b"--b--\r\nend"
    expected = [({"content-type": "x"}, each) for each in contents]
    assert read(cut(body, places)) == expected == read([body])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "closing"),
        (b"nothing of the kind", "closing"),
        (HEAD + b"film", "closing"),
        (HEAD + b"image\r\n--b", "closing"),
        (b"--bX\r\n\r\n", "other than a line end"),
        (b"--b" + b" " * 300 + b"\r\n\r\n", "other than a line end"),
        (b"-" * 10_000, "does not begin with"),
        (b"--b\r\nno header\r\n\r\n", "header line"),
        (b"--b\r\n: x\r\n\r\n", "header line"),
        (b"--b\r\nA: b\r\n folded\r\n\r\n", "header line"),
        (b"--b\r\n" + b"A: b\r\n" * 33 + b"\r\n", "more than 32 headers"),
        (b"--b\r\nA: " + b"x" * 9000, "longer than 8192"),
        (b"--b\r\nA: " + b"x" * 9000 + b"\r\n\r\n", "longer than 8192"),
    ],
)
def test_what_is_no_multipart_is_refused_with_a_reason(body, message):
    """Missing ends, false delimiters, headers that are too long or too many."""
    with pytest.raises(InvalidMultipart, match=message):
        read([body])


def test_one_part_too_many_is_its_own_error():
    """The parts before it have been returned."""
    reader = MultipartReader("b", MultipartLimits(max_parts=2))
    reader.feed((HEAD + b"x\r\n") * 3)
    seen = []
    with pytest.raises(TooManyParts):
        seen.extend(iter(reader.events()))
    assert [type(each) for each in seen] == [PartBegins, memoryview, PartEnds] * 2


def test_memory_does_not_grow_with_the_length_of_a_part():
    """64 MiB in pieces of 64 KiB: never more than a few pieces are held."""
    reader = MultipartReader("b")
    reader.feed(HEAD)
    piece = b"\r\n--a" * (2**16 // 5)
    tracemalloc.start()
    for _ in range(1024):
        reader.feed(piece)
        for _event in reader.events():
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * len(piece)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/dicom", ("application/dicom", {})),
        (
            'Multipart/Related; TYPE="a/b"; boundary=x',
            ("multipart/related", {"type": "a/b", "boundary": "x"}),
        ),
        (r'a/b; boundary="a\"b"', ("a/b", {"boundary": 'a"b'})),
        ("a/b ; boundary=gc0pJq0M:08jU534c0p", ("a/b", {"boundary": "gc0pJq0M:08jU534c0p"})),
        ("a/b; c=1; c=2;", ("a/b", {"c": "1"})),
    ],
)
def test_a_content_type_is_taken_apart(value, expected):
    """Names in lower case, quotes removed, the first of two parameters of one name."""
    assert media_type(value) == expected


@pytest.mark.parametrize("value", ["", "x", "a/b c", "a/b; c", 'a/b; c="', "a/b\x00", "a/b; c=1 d"])
def test_what_is_no_content_type_is_refused(value):
    """No guess is made."""
    with pytest.raises(InvalidMultipart):
        media_type(value)


@pytest.mark.parametrize("value", ["", "x" * 129, "x" * 2**20, "a ", "a;b", 'a"b', "a\r\n", "ä"])
def test_a_boundary_has_1_to_128_allowed_characters(value):
    """RFC 2046 5.1.1 has 70, Orthanc 73; a megabyte of it is not searched for."""
    assert check_boundary("x" * 128)
    with pytest.raises(InvalidMultipart):
        check_boundary(value)
