"""Requests to the file system for large files, on a real one."""

import os

import pytest

from dicom.spool.durable import release_reserve, reserve
from dicom.spool.incoming_file import Announced, Incoming

MEGABYTE = 2**20
BLOCK = 512  # of st_blocks, for any file system


def test_a_reserve_makes_no_file_longer(tmp_path):
    """Blocks are reserved after the end of the file; unused ones are released."""
    path = tmp_path / "image"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.write(descriptor, b"x" * 1000)
        reserve(descriptor, 0, 4 * MEGABYTE)
        assert path.stat().st_size == 1000
        release_reserve(descriptor)
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"x" * 1000
    assert path.stat().st_blocks * BLOCK < MEGABYTE


def test_a_descriptor_that_cannot_reserve_costs_nothing():
    """A refused hint is no error."""
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="Illegal seek"):
            os.posix_fallocate(writer, 0, MEGABYTE)
        reserve(writer, 0, MEGABYTE)
        assert os.fstat(writer).st_size == 0
    finally:
        os.close(reader)
        os.close(writer)


def test_a_large_image_holds_no_more_of_the_disk_than_its_bytes(tmp_path):
    """Blocks reserved during the transfer are released before the file counts as durable."""
    announced = Announced(
        sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid="1.4", source_ae="CR"
    )
    incoming = Incoming(tmp_path / "image.part", announced, max_bytes=2**30)
    piece = os.urandom(300_000)
    for _ in range(20):
        incoming.write_all([piece[:100_000], piece[100_000:]])
    incoming.sync()
    kept = incoming.path.read_bytes()
    status = incoming.path.stat()
    incoming.release()
    assert kept.endswith(piece * 20)
    assert incoming.size == 6_000_000
    assert status.st_blocks * BLOCK < status.st_size + 64 * 1024
