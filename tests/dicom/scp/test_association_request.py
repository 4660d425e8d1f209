"""Association requests of real peers, repaired as PS3.8 9.3.2 permits."""

import struct

import pytest

from dicom.scp.association_request import (
    BLANK_TITLE,
    MalformedRequest,
    has_known_version,
    readable_request,
)

CONTEXT_NAME = b"1.2.840.10008.3.1.1.1"
VERIFICATION, IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"


def item(kind, value):
    """Return an item with its header."""
    return struct.pack(">BxH", kind, len(value)) + value


def context(identifier=1, abstract=VERIFICATION, transfer=(IMPLICIT,)):
    """Return a presentation context item."""
    syntaxes = b"".join(item(0x40, each) for each in transfer)
    return item(0x20, bytes([identifier, 0, 0, 0]) + item(0x30, abstract) + syntaxes)


def request(*items, version=1, calling=b"CR1             "):
    """Return an A-ASSOCIATE-RQ PDU."""
    body = struct.pack(
        ">HH16s16s32s", version, 0, b"WETREAD".ljust(16), calling, bytes(32)
    ) + b"".join(items)
    return struct.pack(">BxL", 1, len(body)) + body


def parts(pdu):
    """Return calling title and items by type of a PDU."""
    assert len(pdu) == 6 + struct.unpack_from(">L", pdu, 2)[0]
    return pdu[26:42], _items(pdu[74:])


def _items(data):
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        found.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


LENGTH = item(0x51, struct.pack(">L", 16384))
IMPLEMENTATION = item(0x52, b"1.2.3.4")
PLAIN = request(item(0x10, CONTEXT_NAME), context(), item(0x50, LENGTH + IMPLEMENTATION))


def test_a_correct_request_stays_as_it_is():
    """Byte for byte."""
    assert readable_request(PLAIN) == PLAIN
    assert has_known_version(PLAIN)
    assert not has_known_version(request(version=2))


@pytest.mark.parametrize(
    ("title", "repaired"),
    [
        (b"CR1\0\0\0garbage\0\0\0", b"CR1"),
        (b"  CR1           ", b"CR1"),
        (b"CR\x801".ljust(16), b"CR?1"),
        (bytes(16), BLANK_TITLE.encode()),
        (b" " * 16, BLANK_TITLE.encode()),
    ],
)
def test_titles_are_padded_with_spaces(title, repaired):
    """Up to the first NUL, without characters that no AE title has."""
    calling, _ = parts(readable_request(request(calling=title)))
    assert calling == repaired.ljust(16)


def test_unknown_items_are_left_out():
    """Of the request and of the user information."""
    information = item(0x50, LENGTH + item(0x77, b"private") + IMPLEMENTATION)
    pdu = request(item(0x10, CONTEXT_NAME), item(0x88, b"x"), context(), information)
    assert readable_request(pdu) == PLAIN


def test_uids_lose_their_padding():
    """NUL and spaces; a value that is no UID becomes one that nothing supports."""
    pdu = request(context(abstract=VERIFICATION + b"\0", transfer=(IMPLICIT + b" ", b"junk")))
    _, found = parts(readable_request(pdu))
    assert found[0] == (0x20, context()[4:])
    _, found = parts(readable_request(request(context(abstract=b"junk", transfer=()))))
    assert found[0] == (0x20, context(abstract=b"2.25.0", transfer=(b"2.25.0",))[4:])


@pytest.mark.parametrize(
    ("lengths", "expected"), [((), 4096), ((0,), 0), ((0, 8192), 8192), ((16384, 8192), 8192)]
)
def test_the_maximum_length_is_one(lengths, expected):
    """The smallest of several; 4096 where the peer sends none; 0 is no limit (PS3.8 D.1)."""
    information = item(0x50, b"".join(item(0x51, struct.pack(">L", each)) for each in lengths))
    _, found = parts(readable_request(request(information)))
    assert _items(found[-1][1]) == [(0x51, struct.pack(">L", expected))]


ROLE = struct.pack(">H", len(VERIFICATION)) + VERIFICATION
IDENTITY = b"\x01\x00" + struct.pack(">H", 3) + b"ann" + struct.pack(">H", 0)


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (0x55, b"VERSION_OF_17_CHR", b"VERSION_OF_17_CH"),
        (0x55, b"V 1\0\0", b"V 1"),
        (0x53, b"\0\1\0\1", b"\0\1\0\1"),
        (0x53, b"\0\1", b""),
        (0x54, ROLE + b"\0\1", ROLE + b"\0\1"),
        (0x54, ROLE + b"\0\0", b""),
        (0x54, ROLE + b"\2\0", b""),
        (0x56, ROLE + b"x", ROLE + b"x"),
        (0x56, ROLE, b""),
        (0x57, ROLE + ROLE + b"\0\0", ROLE + ROLE + b"\0\0"),
        (0x57, ROLE, b""),
        (0x58, IDENTITY, IDENTITY),
        (0x58, IDENTITY[:-1], b""),
        (0x58, b"\x09" + IDENTITY[1:], b""),
    ],
)
def test_user_information_is_kept_where_it_is_valid(kind, value, kept):
    """Items that make a PDU invalid for pynetdicom are left out."""
    _, found = parts(readable_request(request(item(0x50, LENGTH + item(kind, value)))))
    assert _items(found[-1][1])[1:] == ([(kind, kept)] if kept else [])


@pytest.mark.parametrize(
    ("pdu", "problem"),
    [
        (PLAIN[:60], "too short"),
        (request(b"\x10"), "ends within the header of an item"),
        (request(item(0x10, CONTEXT_NAME)[:-1]), "ends within an item of type 0x10"),
        (request(item(0x20, b"\1\0")), "presentation context is too short"),
        (request(context(2)), "context ID 2 is even"),
        (request(item(0x50, b"\x51\0\0\x09abc")), "user information ends within an item"),
    ],
)
def test_what_cannot_be_divided_is_refused(pdu, problem):
    """The message states the place."""
    with pytest.raises(MalformedRequest, match=problem):
        readable_request(pdu)
