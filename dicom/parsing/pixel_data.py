"""The Pixel Data element of an untrusted data set, found without decoding (PS3.5 7.1, A.4).

The image of a single-frame Instance consists of all fragments in order. The Basic and the Extended
Offset Table are not needed to find them, and many writers get them wrong, so they are not used.
"""

import struct
from dataclasses import dataclass
from typing import Final

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicom.errors import LimitExceeded, PixelError
from dicom.parsing.element_scanner import looks_like_vr

_PIXEL_DATA: Final = (0x7FE0, 0x0010)
_UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = b"\xfe\xff\x00\xe0"
_DELIMITER: Final = b"\xfe\xff\xdd\xe0"
_LONG: Final = frozenset(vr.encode("ascii") for vr in EXPLICIT_VR_LENGTH_32)
_NONE: Final = "the image has no pixel data, or the file ends within it"
# JPEG, JPEG 2000 codestream, JP2 file: if the first item begins so, the offset table is missing.
_IMAGE_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
_MAX_FRAGMENTS: Final = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelData:
    """The value of Pixel Data.

    Attributes:
        value: Its bytes; those of all fragments, joined, if it is encapsulated.
        vr: "OB" or "OW".
        in_fragments: Whether it is encapsulated, a sequence of fragments (undefined length).
    """

    value: bytes
    vr: str
    in_fragments: bool


def find_pixel_data(encoded: bytes, *, explicit: bool, order: str) -> PixelData:
    """Return Pixel Data; ignore what follows it.

    Args:
        encoded: The elements of group 7FE0 and what follows them.
        explicit: Whether the transfer syntax has explicit VRs.
        order: "<" or ">", the byte order of the transfer syntax.

    Raises:
        LimitExceeded: There are more fragments than any writer makes.
        PixelError: There is no Pixel Data, or it is cut off.
    """
    # Some writers declare explicit VR and use implicit, or vice versa: the first element decides.
    explicit = looks_like_vr(encoded[4:6]) if len(encoded) >= 6 else explicit
    try:
        at, length, written = _element(encoded, explicit=explicit, order=order)
    except struct.error:
        raise PixelError(_NONE) from None
    vr = "OB" if written == b"OB" else "OW"
    if length == _UNDEFINED:
        value = _joined(_fragments(encoded, at))
        return PixelData(value=value, vr=vr, in_fragments=True)
    if length == 0 or at + length > len(encoded):
        raise PixelError(_NONE)
    return PixelData(value=encoded[at : at + length], vr=vr, in_fragments=False)


def compressed_image(pixels: PixelData) -> bytes:
    """Return the codestream of a compressed image, even if Pixel Data was given a defined length.

    Raises:
        LimitExceeded: As `find_pixel_data`.
        PixelError: It is not in fragments, or they are cut off.
    """
    if pixels.in_fragments:
        return pixels.value
    if not pixels.value.startswith(ITEM):
        raise PixelError("the compressed image is not written in fragments")
    return _joined(_fragments(pixels.value, 0))


def _element(encoded: bytes, *, explicit: bool, order: str) -> tuple[int, int, bytes]:
    """Return the offset of the value of Pixel Data, its length and its VR.

    Raises:
        PixelError: An element of undefined length or a higher tag comes first.
        struct.error: The data set ends before it.
    """
    at = 0
    while True:
        group, element, vr = struct.unpack_from(order + "HH2s", encoded, at)
        if not explicit:
            length, begin = struct.unpack_from(order + "L", encoded, at + 4)[0], at + 8
        elif vr in _LONG:
            length, begin = struct.unpack_from(order + "L", encoded, at + 8)[0], at + 12
        else:
            length, begin = struct.unpack_from(order + "H", encoded, at + 6)[0], at + 8
        if (group, element) == _PIXEL_DATA:
            return begin, length, vr
        if (group, element) > _PIXEL_DATA or length == _UNDEFINED:
            raise PixelError(_NONE)
        at = begin + length


def _fragments(encoded: bytes, at: int) -> list[bytes]:
    """Return the items from `at` on, including the offset table.

    A missing delimiter, or NUL or FF bytes in its place, is accepted if the last fragment ends before
    it: the codestream in the fragments is checked to its end in any case.

    Raises:
        LimitExceeded: There are more than `_MAX_FRAGMENTS`.
        PixelError: A fragment is cut off, or is followed by neither a fragment nor a delimiter.
    """
    items: list[bytes] = []
    limit = len(encoded)
    while encoded[at : at + 4] == ITEM and at + 8 <= limit:
        (length,) = struct.unpack_from("<L", encoded, at + 4)
        at += 8
        if length > limit - at:
            raise PixelError(
                f"fragment {len(items) + 1} of the pixel data declares {length} bytes, "
                f"the file has {limit - at} more"
            )
        items.append(encoded[at : at + length])
        at += length
        if len(items) > _MAX_FRAGMENTS:
            raise LimitExceeded(f"the pixel data has more than {_MAX_FRAGMENTS} fragments")
    end = encoded[at : at + 4]
    if end != _DELIMITER and end.strip(b"\x00") and end.strip(b"\xff") and at < limit:
        raise PixelError(
            f"fragment {len(items)} of the pixel data is followed by neither a fragment nor a delimiter"
        )
    return items


def _joined(items: list[bytes]) -> bytes:
    """Return the image that `items` hold, without the offset table.

    Raises:
        PixelError: They are empty.
    """
    has_table = len(items) > 1 and not items[0].startswith(_IMAGE_STARTS)
    image = b"".join(items[1:] if has_table else items)
    if not image:
        raise PixelError("the fragments of the pixel data are empty")
    return image
