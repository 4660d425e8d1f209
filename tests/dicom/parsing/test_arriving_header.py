"""A header that is read while its image arrives equals the header in the file."""

import random
import struct
import zlib
from functools import cache

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom.errors import DicomError
from dicom.parsing.byte_source import WINDOW
from dicom.parsing.element_scanner import HeaderLimits
from dicom.parsing.header import read_arriving_header, read_file_start, read_header
from dicom.parsing.value_decoding import CHARACTER_SET, DECISIVE
from dicom.phantom import as_dataset, draw
from dicom.spool.incoming_file import Announced, file_meta
from dicom.spool.ingest import ASKED_ON_ARRIVAL

KEPT = ASKED_ON_ARRIVAL | DECISIVE | {CHARACTER_SET}
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
# Bytes of damaged headers: VRs, delimiters, lengths.
ODD = (
    *(b"UN", b"SQ", b"OB", b"US", b"ZZ", b"B\x05", b"A\xff", b"\0\0"),
    *(b"\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xfe\xff\x00\xe0"),
    b"\x08\x00\x05\x00",
)


def written(header: Dataset) -> list[tuple]:
    """Return tags, VRs and values of a header, those of its items too, as far as they are kept."""
    return [
        (
            int(element.tag),
            str(element.VR),
            [written_item(item) for item in element.value]
            if isinstance(element.value, Sequence)
            else (type(element.value), repr(element.value)),
        )
        for element in header
        if int(element.tag) in KEPT
    ]


def written_item(item: Dataset) -> list[tuple[int, str, str]]:
    """Return tags, VRs and values of an item."""
    return [(int(element.tag), str(element.VR), repr(element.value)) for element in item]


def answer(read) -> tuple:
    """Return the result of a reading: the header, or the error's class and message."""
    try:
        header = read()
    except DicomError as error:
        return type(error), str(error)
    assert isinstance(header.file_meta.TransferSyntaxUID, UID)
    return (
        written(header),
        header.file_meta.TransferSyntaxUID,
        header.original_encoding,
        header.original_character_set,
    )


@pytest.fixture
def compare(tmp_path):
    """A function that reads a data set in three ways and compares the results."""
    path = tmp_path / "arriving.dcm"

    def check(data_set: bytes, syntax: str, *, of: str = "") -> None:
        announced = Announced(
            sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid=syntax, source_ae="A"
        )
        path.write_bytes(file_meta(announced) + data_set)
        arriving = answer(
            lambda: read_arriving_header(
                data_set[:WINDOW],
                size=len(data_set),
                transfer_syntax_uid=syntax,
                path=path,
                only=ASKED_ON_ARRIVAL,
            )
        )
        assert arriving == answer(lambda: read_header(path, only=ASKED_ON_ARRIVAL, strict=False)), (
            of
        )
        assert arriving == answer(lambda: read_header(path, strict=False)), of

    return check


@cache
def phantom(syntax: UID, *, open_ended: bool) -> bytes:
    """Return the data set of a small phantom whose sequences are of either length."""
    dataset = as_dataset(draw(seed=1, rows=64, columns=64), seed=1)
    dataset.PatientSpeciesDescription = "Canis familiaris"
    dataset.SeriesDescription = "Thorax à plat"
    dataset.PixelData = bytes(64)
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = open_ended
            for item in element.value:
                item.is_undefined_length_sequence_item = open_ended
    stream = DicomBytesIO()
    stream.is_implicit_VR = syntax == ImplicitVRLittleEndian
    stream.is_little_endian = syntax != ExplicitVRBigEndian
    dataset.set_original_encoding(None, None)
    write_dataset(stream, dataset)
    if syntax != DeflatedExplicitVRLittleEndian:
        return stream.getvalue()
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(stream.getvalue()) + deflate.flush()


def mutated(rng: random.Random, data_set: bytes) -> bytes:
    """Return a data set cut short, shifted, or with a few changed bytes."""
    kind = rng.random()
    at = rng.randrange(len(data_set))
    if kind < 0.15:
        return data_set[:at]
    if kind < 0.3:
        return data_set[:at] + data_set[at + rng.randrange(1, 9) :]
    changed = bytearray(data_set)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(min(len(changed), 1800))
        odd = rng.choice(ODD) if rng.random() < 0.6 else rng.randbytes(1)
        changed[at : at + len(odd)] = odd
    return bytes(changed)


def test_every_image_has_the_same_header_on_arrival_as_on_the_disk(shared_data, compare):
    """Reading the first bytes instead of the file loses, changes or admits nothing."""
    compared = 0
    for folder in ("cxr-dicom", "not-chest", "edge-cases"):
        for image in sorted(path for path in (shared_data / folder).rglob("*") if path.is_file()):
            with image.open("rb") as file:
                start = file.read(2**20)
            try:
                meta, at = read_file_start(start, HeaderLimits())
            except DicomError:
                continue
            compare(start[at:], str(meta.get("TransferSyntaxUID", "")), of=image.name)
            compared += 1
    assert compared > 100


@pytest.mark.parametrize("open_ended", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_damaged_header_has_the_same_answer_on_arrival(compare, syntax, open_ended):
    """A data set damaged on the way is refused, or read as from the file."""
    data_set = phantom(syntax, open_ended=open_ended)
    compare(data_set, syntax)
    rng = random.Random(20261122)
    for number in range(120):
        compare(mutated(rng, data_set), syntax, of=f"damaged header {number}")


@pytest.mark.parametrize("declared", ["", "1.2.3", "1.2\\1.3", *SYNTAXES])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_encoding_that_is_not_the_declared_one_is_met_as_in_the_file(compare, declared, syntax):
    """The declared transfer syntax is treated on arrival as in the file."""
    compare(phantom(syntax, open_ended=False), declared)


@pytest.mark.parametrize(
    "start", [b"\x02\x00\x10\x00UI\x04\x001.2\x00", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\x08\0", b""]
)
def test_a_data_set_that_goes_on_like_the_file_meta_group_is_read_as_its_file(compare, start):
    """Where one ends and the other begins is reported by their bytes."""
    compare(start, ExplicitVRLittleEndian)
    compare(start + phantom(ExplicitVRLittleEndian, open_ended=False), ExplicitVRLittleEndian)


def test_a_header_longer_than_what_is_at_hand_is_read_from_the_file(compare):
    """A private element of a megabyte does not hide what comes after it."""
    long = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, 2**20) + bytes(2**20)
    whole = phantom(ExplicitVRLittleEndian, open_ended=False)
    at = whole.index(struct.pack("<HH", 0x0018, 0x0015))
    compare(whole[:at] + long + whole[at:], ExplicitVRLittleEndian)
    compare(whole[:at] + long[:-5], ExplicitVRLittleEndian)


@pytest.mark.parametrize("syntax", SYNTAXES[:3])
def test_the_file_is_not_opened_where_the_first_bytes_are_enough(tmp_path, syntax):
    """An arriving image is read from memory, not from the disk."""
    data_set = phantom(syntax, open_ended=True)
    header = read_arriving_header(
        data_set,
        size=len(data_set),
        transfer_syntax_uid=syntax,
        path=tmp_path / "none.dcm",
        only=ASKED_ON_ARRIVAL,
    )
    assert header.Modality == "DX"
    assert header.SeriesDescription == "Thorax à plat"
    assert "PatientName" not in header
