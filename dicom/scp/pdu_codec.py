"""Encoding for the fast path: PDU and PDV headers, C-STORE commands and responses."""

import re
import struct
from dataclasses import dataclass
from typing import Final

P_DATA_TF: Final = 0x04
# By the service provider, invalid PDU parameter value (PS3.8 9.3.8)
A_ABORT: Final = bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 6])
PDU: Final = struct.Struct(">BxL")
PDV: Final = struct.Struct(">LBB")
# Length of a P-DATA-TF PDU without its header; that of a C-STORE command with valid UIDs is greater.
SMALLEST_COMMAND: Final = 80
_ELEMENT: Final = struct.Struct("<HHL")
_UID: Final = re.compile(rb"[0-9.]{1,64}\0?")
_NO_DATA_SET: Final = 0x0101
_C_STORE_RQ: Final = 0x0001
_C_STORE_RSP: Final = 0x8001


class ConnectionBroken(OSError):
    """The connection ended before the expected bytes, or was closed already."""


class UnexpectedFragment(Exception):
    """Fragments do not belong to the current message, or PDU and PDV lengths contradict each other."""


@dataclass(frozen=True, slots=True)
class StoreCommand:
    """The values of a C-STORE command that the fast path uses, without padding."""

    message_id: int
    class_uid: str
    instance_uid: str


def read_command(encoded: bytes) -> StoreCommand | None:
    """Return an ordinary C-STORE command (PS3.7 9.3.1.1); None for any other or malformed command."""
    values = {}
    at = 0
    while at + _ELEMENT.size <= len(encoded):
        group, element, length = _ELEMENT.unpack_from(encoded, at)
        at += _ELEMENT.size
        if group != 0 or length > len(encoded) - at:
            return None
        values[element] = encoded[at : at + length]
        at += length
    class_uid, instance_uid = values.get(0x0002, b""), values.get(0x1000, b"")
    # Command Field, Message ID, Priority and Command Data Set Type, each US (PS3.7 E.1).
    numbers = [values.get(element, b"") for element in (0x0100, 0x0110, 0x0700, 0x0800)]
    if not (_UID.fullmatch(class_uid) and _UID.fullmatch(instance_uid)):
        return None
    if at != len(encoded) or any(len(number) != 2 for number in numbers):
        return None
    field, message_id, _, data_set = (int.from_bytes(each, "little") for each in numbers)
    if field != _C_STORE_RQ or data_set == _NO_DATA_SET:
        return None
    return StoreCommand(
        message_id=message_id,
        class_uid=class_uid.rstrip(b"\0").decode("ascii"),
        instance_uid=instance_uid.rstrip(b"\0").decode("ascii"),
    )


def response(context_id: int, command: StoreCommand, status: int, comment: str) -> bytes:
    """Return a C-STORE-RSP as one P-DATA-TF PDU (PS3.7 9.3.1.2, PS3.8 9.3.5)."""
    elements = [
        (0x0002, command.class_uid.encode("ascii")),
        (0x0100, struct.pack("<H", _C_STORE_RSP)),
        (0x0120, struct.pack("<H", command.message_id)),
        (0x0800, struct.pack("<H", _NO_DATA_SET)),
        (0x0900, struct.pack("<H", status)),
        (0x0902, comment.encode("ascii") + b" " * (len(comment) % 2)),
        (0x1000, command.instance_uid.encode("ascii")),
    ]
    encoded = b"".join(_element(number, value) for number, value in elements if value)
    encoded = _element(0x0000, struct.pack("<L", len(encoded))) + encoded
    header = PDU.pack(P_DATA_TF, len(encoded) + 6)
    return header + PDV.pack(len(encoded) + 2, context_id, 3) + encoded


def _element(number: int, value: bytes) -> bytes:
    padded = value + b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0, number, len(padded)) + padded
