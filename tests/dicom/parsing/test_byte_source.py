"""The first bytes of a stream, plain and deflated."""

import io
import zlib

import pytest

from dicom.errors import InvalidDataset
from dicom.parsing.byte_source import WINDOW, Inflating, Source


def deflated(data: bytes) -> io.BytesIO:
    """Return data as a deflated data set (PS3.5 A.5)."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return io.BytesIO(packer.compress(data) + packer.flush())


def test_inflated_bytes_are_those_that_were_deflated():
    """In reads of any size, to the end and beyond it."""
    data = bytes(range(256)) * 1000
    stream = Inflating(deflated(data))
    parts = [stream.read(length) for length in (0, 1, 100_000, WINDOW, 10**6, 5)]
    assert [len(part) for part in parts] == [0, 1, 100_000, WINDOW, 256_000 - 100_001 - WINDOW, 0]
    assert b"".join(parts) == data


def test_no_more_is_inflated_than_is_read():
    """100 MB of zeros in 100 kB take only the memory of the requested bytes."""
    file = deflated(bytes(10**8))
    assert Inflating(file).read(10) == bytes(10)
    assert file.tell() <= WINDOW


def test_damaged_data_is_an_error():
    """A block type that does not exist."""
    with pytest.raises(InvalidDataset, match="cannot be inflated"):
        Inflating(io.BytesIO(b"\xff\xff\xff")).read(1)


def test_a_source_grows_as_far_as_it_is_read():
    """Its size is known once the end was reached."""
    stream = io.BytesIO(b"0123456789")
    source = Source(stream)
    source.grow(4)
    assert (source.bytes, stream.tell()) == (b"0123", 4)
    source.grow(2)
    assert source.bytes == b"0123"
    assert source.size > 10**9
    source.grow(20)
    assert (source.bytes, source.size) == (b"0123456789", 10)
