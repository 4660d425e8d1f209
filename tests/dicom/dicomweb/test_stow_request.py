"""The parts of a STOW-RS request, when one of them fails."""

from collections import deque

import pytest

from dicom.dicomweb.multipart import MultipartReader
from dicom.dicomweb.stow_request import PartStream
from dicom.phantom import as_dataset, draw, write
from dicom.spool.spool import Spool


def test_parts_before_an_unforeseen_fault_are_in_the_hands_of_who_asked(tmp_path):
    """The code that discards incomplete files can discard them, too: nothing stays in the spool."""
    image = write(as_dataset(draw(1, rows=64, columns=64)), tmp_path / "image.dcm")
    spool, opened = Spool(tmp_path / "spool"), []

    def announce(announced):
        if opened:
            raise LookupError("a bug")
        opened.append(spool.receive(announced))
        return opened[0]

    stream = PartStream(MultipartReader("frontier"), announce, "CR1")
    part = b"--frontier\r\nContent-Type: application/dicom\r\n\r\n" + image.read_bytes() + b"\r\n"
    stream.feed(part + part + b"--frontier--\r\n")
    parts = deque()
    with pytest.raises(LookupError):
        stream.advance(8, parts)
    assert [part.incoming for part in parts] == opened
    stream.discard()
    parts[0].incoming.discard()
    assert not list((spool.root / "tmp").iterdir())
