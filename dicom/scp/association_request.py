"""Rewrites an A-ASSOCIATE-RQ of a real peer into one that pynetdicom can decode (PS3.8 9.3.2).

pynetdicom treats an unknown item, an AE title padded with NUL or a version name of 17 characters as an
invalid PDU and aborts. Here items that the Standard lets an acceptor ignore are removed, and malformed
values are corrected. Only a request that cannot be divided into items, or with an even presentation
context ID, is refused.
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import Final

_HEADER: Final = struct.Struct(">BxL")
_ITEM: Final = struct.Struct(">BxH")
# Protocol version, reserved, called and calling AE title, reserved: before the variable items.
_FIXED: Final = struct.Struct(">HH16s16s32s")
_FIRST_VERSION: Final = 1
# Replaces a blank AE title: no calling AE is configured so, but an open receiver can log it.
BLANK_TITLE: Final = "?"

_APPLICATION_CONTEXT: Final = 0x10
_PRESENTATION_CONTEXT: Final = 0x20
_ABSTRACT_SYNTAX: Final = 0x30
_TRANSFER_SYNTAX: Final = 0x40
_USER_INFORMATION: Final = 0x50
_MAXIMUM_LENGTH: Final = 0x51
_IMPLEMENTATION_CLASS: Final = 0x52
_ASYNCHRONOUS: Final = 0x53
_ROLE_SELECTION: Final = 0x54
_IMPLEMENTATION_VERSION: Final = 0x55
_EXTENDED: Final = 0x56
_COMMON_EXTENDED: Final = 0x57
_USER_IDENTITY: Final = 0x58

# Maximum length assumed for a peer that sends none; every implementation accepts PDUs of this size.
_ASSUMED_LENGTH: Final = 4096
_ONCE: Final = frozenset(
    {_IMPLEMENTATION_CLASS, _ASYNCHRONOUS, _IMPLEMENTATION_VERSION, _USER_IDENTITY}
)
_IDENTITY_TYPES: Final = range(1, 6)  # PS3.7 D.3.3.7.1
_UID: Final = re.compile(rb"[0-9.]{1,64}")
# For a context without a usable syntax: a valid UID that nothing supports, so the context is refused.
_NO_SYNTAX: Final = b"2.25.0"
_NOT_IN_TITLE: Final = re.compile(rb"[^\x20-\x5b\x5d-\x7e]")


class MalformedRequest(ValueError):
    """The request cannot be divided into items, or has an even context ID; the message states where."""


def readable_request(encoded: bytes) -> bytes:
    """Return an A-ASSOCIATE-RQ PDU without the irregularities that pynetdicom would refuse.

    Args:
        encoded: The complete PDU.

    Raises:
        MalformedRequest: The PDU or a context is too short, an item is longer than what contains it,
            or a presentation context ID is even.
    """
    if len(encoded) < _HEADER.size + _FIXED.size:
        raise MalformedRequest("its association request is too short")
    version, reserved, called, calling, rest = _FIXED.unpack_from(encoded, _HEADER.size)
    version = _FIRST_VERSION if version & _FIRST_VERSION else version  # a bit mask (PS3.8 9.3.2)
    fixed = _FIXED.pack(version, reserved, _title(called), _title(calling), rest)
    body = fixed + _variable_items(encoded[_HEADER.size + _FIXED.size :])
    return _HEADER.pack(encoded[0], len(body)) + body


def has_known_version(encoded: bytes) -> bool:
    """Return whether bit 0 of an A-ASSOCIATE-RQ PDU's protocol version is set (PS3.8 9.3.2)."""
    return bool(encoded[_HEADER.size + 1] & _FIRST_VERSION)


def _title(raw: bytes) -> bytes:
    """Return an AE title up to its first NUL, padded with spaces; invalid characters become "?"."""
    title = _NOT_IN_TITLE.sub(b"?", raw.partition(b"\0")[0].strip(b" "))
    return (title or BLANK_TITLE.encode()).ljust(16)


def _variable_items(encoded: bytes) -> bytes:
    """Return the known items; several User Information items are merged into one."""
    written, information = [], b""
    for kind, body in _items(encoded, "its association request"):
        if kind == _APPLICATION_CONTEXT and _uid(body):
            written.append(_item(kind, _uid(body)))
        elif kind == _PRESENTATION_CONTEXT:
            written.append(_item(kind, _presentation_context(body)))
        elif kind == _USER_INFORMATION:
            information += body
    written.append(_item(_USER_INFORMATION, _user_information(information)))
    return b"".join(written)


def _presentation_context(body: bytes) -> bytes:
    if len(body) < 4:
        raise MalformedRequest("a presentation context is too short")
    if not body[0] & 1:
        raise MalformedRequest(f"the presentation context ID {body[0]} is even")
    abstract, transfer = _NO_SYNTAX, []
    for kind, value in _items(body[4:], "a presentation context"):
        if kind == _ABSTRACT_SYNTAX:
            abstract = _uid(value) or _NO_SYNTAX
        elif kind == _TRANSFER_SYNTAX and _uid(value):
            transfer.append(_item(kind, _uid(value)))
    syntaxes = b"".join(transfer) or _item(_TRANSFER_SYNTAX, _NO_SYNTAX)
    return body[:4] + _item(_ABSTRACT_SYNTAX, abstract) + syntaxes


def _user_information(body: bytes) -> bytes:
    """Return the well-formed sub-items; malformed and unknown ones are ignored."""
    written: list[bytes] = []
    lengths: list[int] = []
    seen: set[int] = set()
    for kind, value in _items(body, "the user information"):
        if kind == _MAXIMUM_LENGTH and len(value) == 4:
            lengths.append(int.from_bytes(value, "big"))
        elif (kept := _user_item(kind, value)) and kind not in seen:
            written.append(_item(kind, kept))
            seen |= {kind} & _ONCE
    # If sent twice, the smaller length satisfies both; 0 means no limit (PS3.8 D.1).
    most = min(filter(None, lengths), default=0) if lengths else _ASSUMED_LENGTH
    return b"".join([_item(_MAXIMUM_LENGTH, most.to_bytes(4, "big")), *written])


def _user_item(kind: int, value: bytes) -> bytes:
    """Return the value of a user information sub-item in valid form; b"" to leave it out."""
    if kind == _IMPLEMENTATION_CLASS:
        return _uid(value)
    if kind == _IMPLEMENTATION_VERSION:
        name = value.partition(b"\0")[0].strip(b" ")
        return _NOT_IN_TITLE.sub(b"?", name)[:16]
    check = _CHECKS.get(kind)
    return value if check is not None and check(value) else b""


def _is_window(value: bytes) -> bool:
    """Return whether the value holds two numbers of operations (PS3.7 D.3.3.3)."""
    return len(value) == 4


def _is_role_selection(value: bytes) -> bool:
    """Return whether the value is a UID with its length and two roles of 0 or 1 (PS3.7 D.3.3.4).

    At least one role must be 1.
    """
    roles = value[-2:]
    fits = _begins_with_uid(value) and _prefix(value) == len(value) - 4
    return fits and max(roles) <= 1 and any(roles)


def _is_extended(value: bytes) -> bool:
    """Return whether the value is a UID with its length and service information (PS3.7 D.3.3.5)."""
    return _begins_with_uid(value) and len(value) > 2 + _prefix(value)


def _is_common_extended(value: bytes) -> bool:
    """Return whether SOP Class, Service Class and related classes are valid (PS3.7 D.3.3.6)."""
    for _ in range(2):
        if not _begins_with_uid(value):
            return False
        value = value[2 + _prefix(value) :]
    if len(value) < 2 or _prefix(value) > len(value) - 2:
        return False
    related = value[2 : 2 + _prefix(value)]
    while related:
        if not _begins_with_uid(related):
            return False
        related = related[2 + _prefix(related) :]
    return True


def _is_user_identity(value: bytes) -> bool:
    """Return whether type, fields and their lengths are valid (PS3.7 D.3.3.7)."""
    if len(value) < 6 or value[0] not in _IDENTITY_TYPES or value[1] > 1:
        return False
    primary = int.from_bytes(value[2:4], "big")
    second = value[4 + primary :]
    return primary > 0 and len(second) >= 2 and _prefix(second) == len(second) - 2


_CHECKS: Final[dict[int, Callable[[bytes], bool]]] = {
    _ASYNCHRONOUS: _is_window,
    _ROLE_SELECTION: _is_role_selection,
    _EXTENDED: _is_extended,
    _COMMON_EXTENDED: _is_common_extended,
    _USER_IDENTITY: _is_user_identity,
}


def _begins_with_uid(value: bytes) -> bool:
    fits = _prefix(value) <= len(value) - 2
    return fits and _UID.fullmatch(value[2 : 2 + _prefix(value)]) is not None


def _prefix(value: bytes) -> int:
    return int.from_bytes(value[:2], "big")


def _uid(value: bytes) -> bytes:
    """Return a UID without padding, or b"" if the value is not a UID."""
    uid = value.partition(b"\0")[0].strip(b" ")
    return uid if _UID.fullmatch(uid) else b""


def _items(encoded: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(encoded):
        if at + _ITEM.size > len(encoded):
            raise MalformedRequest(f"{where} ends within the header of an item")
        kind, length = _ITEM.unpack_from(encoded, at)
        at += _ITEM.size
        if at + length > len(encoded):
            raise MalformedRequest(f"{where} ends within an item of type 0x{kind:02X}")
        yield kind, encoded[at : at + length]
        at += length


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value
