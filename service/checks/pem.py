"""Reads the validity of each certificate in a PEM file.

The standard library parses a certificate only within a handshake, so the two times are read here from
the DER encoding (RFC 5280 section 4.1).
"""

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_BLOCK: Final = re.compile(
    r"-----BEGIN (?P<kind>(?:X509 |TRUSTED )?CERTIFICATE)-----.+?-----END (?P=kind)-----", re.DOTALL
)
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_LONG_FORM: Final = 0x80
# Two-digit years of UTCTime from 50 on belong to the 20th century (RFC 5280 section 4.1.2.5.1).
_PIVOT: Final = 50


@dataclass(frozen=True, slots=True)
class Validity:
    """The first and the last moment at which a certificate is valid, in UTC."""

    begins: datetime
    ends: datetime


def validities(text: str) -> list[Validity]:
    """Return the validity of each certificate of a PEM file, in the order of the file.

    Raises:
        ValueError: A certificate is damaged.
    """
    return [_validity(_der(found[0])) for found in _BLOCK.finditer(text)]


def _der(block: str) -> bytes:
    lines = block.strip().splitlines()
    plain = [ssl.PEM_HEADER, *lines[1:-1], ssl.PEM_FOOTER]
    return ssl.PEM_cert_to_DER_cert("\n".join(plain))


def _validity(der: bytes) -> Validity:
    """Return Certificate.tbsCertificate.validity, which follows serialNumber, signature and issuer."""
    _, certificate, _ = _element(der, 0)
    _, at, _ = _element(der, certificate)
    tag, _, following = _element(der, at)
    if tag == _VERSION:
        at = following
    for _ in ("serialNumber", "signature", "issuer"):
        _, _, at = _element(der, at)
    tag, begins, _ = _element(der, at)
    if tag != _SEQUENCE:
        raise ValueError("no validity where a certificate has it")
    _, _, ends = _element(der, begins)
    return Validity(_time(der, begins), _time(der, ends))


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return a DER element's tag, and the offsets of its content and of the next element."""
    if at + 2 > len(der):
        raise ValueError("a certificate ends too early")
    tag, length, begin = der[at], der[at + 1], at + 2
    if length & _LONG_FORM:
        count = length & ~_LONG_FORM
        length, begin = int.from_bytes(der[begin : begin + count], "big"), begin + count
    if begin + length > len(der):
        raise ValueError("a certificate ends too early")
    return tag, begin, begin + length


def _time(der: bytes, at: int) -> datetime:
    tag, begin, end = _element(der, at)
    text = der[begin:end].decode("ascii")
    if tag == _UTC_TIME:
        text = f"{'19' if int(text[:2]) >= _PIVOT else '20'}{text}"
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time where a certificate has it")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
