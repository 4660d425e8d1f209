import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from math import isnan

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom.errors import (
    DicomError,
    InvalidDataset,
    InvalidIdentifier,
    LimitExceeded,
    MissingAttribute,
)
from dicom.exact_text import Inexact, reading
from dicom.identifiers import check_uid
from dicom.parsing.element_scanner import HeaderLimits
from dicom.parsing.header import check_identity, read_arriving_header, read_header

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def element(tag: int, vr: str, value: bytes, *, length: int | None = None) -> bytes:
    """Return one element in explicit VR little endian; `length` may be wrong."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    length = len(value) if length is None else length
    if vr in {"OB", "OW", "SQ", "UN", "UT"}:
        return head + struct.pack("<HL", 0, length) + value
    return head + struct.pack("<H", length) + value


def image(*elements: bytes, syntax: str = EXPLICIT) -> bytes:
    """Return a PS3.10 file of the given elements with a file meta group."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element(0x00020010, "UI", uid)
    meta = element(0x00020000, "UL", struct.pack("<L", len(meta))) + meta
    return bytes(128) + b"DICM" + meta + b"".join(elements)


@pytest.fixture
def read(tmp_path):
    """A function that writes bytes to a file and reads its header."""

    def read_bytes(content: bytes, **limits):
        path = tmp_path / "image.dcm"
        path.write_bytes(content)
        return read_header(path, HeaderLimits(**limits))

    return read_bytes


MODALITY = element(0x00080060, "CS", b"DX")


@pytest.mark.serial
def test_every_edge_case_gets_a_header_or_a_typed_error_in_bounded_time_and_memory(shared_data):
    """Each untrusted file is answered, within seconds and 1 GiB in all, by a result or a DicomError."""
    script = """
import resource, sys, time
from pathlib import Path
from dicom.errors import DicomError
from dicom.parsing.header import check_identity, read_header
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
files = [path for path in Path(sys.argv[1]).rglob("*") if path.is_file()]
for path in files:
    started = time.process_time()
    try:
        header = read_header(path)
        str(header), check_identity(header)
    except DicomError as error:
        assert len(str(error)) > 10
    assert time.process_time() - started < 2, path
print(len(files))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(shared_data / "edge-cases")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150


def test_each_real_image_gives_the_elements_that_pydicom_reads(shared_data):
    """Nothing before the pixels is lost or changed, whatever the transfer syntax."""
    for path in sorted((shared_data / "cxr-dicom").glob("*.dcm")):
        ours = read_header(path)
        theirs = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        theirs.pop(0x7FE00000, None)  # group length of the pixels
        assert ours.keys() == theirs.keys(), path.name
        assert all(ours[element.tag].value == element.value for element in theirs), path.name
        assert check_identity(ours).study_instance_uid == theirs.StudyInstanceUID


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("cxr-dicom/barre_CR-MONO1-10_pa_headless-nometa.dcm", IMPLICIT),
        ("edge-cases/pydicom/test_files/ExplVR_BigEndNoMeta.dcm", BIG_ENDIAN),
        ("edge-cases/pydicom/test_files/ExplVR_LitEndNoMeta.dcm", EXPLICIT),
        ("cxr-dicom/barre_cxr_deflated.dcm", DEFLATED),
        ("cxr-dicom/barre_cxr_explicit-bigendian.dcm", BIG_ENDIAN),
    ],
)
def test_the_encoding_is_known_with_and_without_a_file_meta_group(shared_data, name, syntax):
    """A bare data set is read by the form of its first element, and the header states it."""
    header = read_header(shared_data / name)
    assert header.file_meta.TransferSyntaxUID == syntax
    assert header.SOPInstanceUID


def test_a_lost_byte_is_an_error_that_names_the_element(shared_data):
    """Where pydicom would allocate gigabytes, a message names the length that does not fit."""
    path = shared_data / "edge-cases/cxr-malformed/element_one_byte_short.dcm"
    with pytest.raises(InvalidDataset, match="declares 2348811340 bytes where 387633 are left"):
        read_header(path)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("no_sopinstanceuid", "SOPInstanceUID"), ("no_studyinstanceuid", "StudyInstanceUID")],
)
def test_an_image_that_cannot_be_placed_is_refused_by_name(shared_data, name, attribute):
    """Without its UIDs an instance cannot be assigned to a study."""
    header = read_header(shared_data / f"edge-cases/cxr-malformed/{name}.dcm")
    with pytest.raises(MissingAttribute, match=attribute):
        check_identity(header)


@pytest.mark.parametrize("uid", ["1..3", "../../etc/passwd", "1.2\\3.4", "1" * 70, "1.2.3<b>"])
def test_a_uid_that_is_none_is_refused(read, uid):
    """No invalid UID gets as far as a file name."""
    others = [(0x00080016, "1.2"), (0x0020000D, uid), (0x0020000E, "1.2.4")]
    pairs = [(0x00080018, "1.2.5"), *others]
    header = read(image(*(element(tag, "UI", text.encode()) for tag, text in sorted(pairs))))
    with pytest.raises(InvalidIdentifier):
        check_identity(header)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes(128) + b"DICM", id="prefix only"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(200), id="png"),
        pytest.param(b"<html>" * 100, id="text"),
        pytest.param(bytes(4096), id="zeros"),
        pytest.param(image(b"\x08\x00\x05"), id="half a tag"),
        pytest.param(image(element(0x00081140, "SQ", ITEM, length=0xFFFFFFFF)), id="open sequence"),
        pytest.param(image(element(0x00080060, "CS", b"DX", length=60)), id="short value"),
        pytest.param(image(b"not deflated", syntax=DEFLATED), id="not deflated"),
    ],
)
def test_what_is_no_data_set_is_refused_with_a_sentence(read, content):
    """Anything sent in place of an image raises one of our errors."""
    with pytest.raises(InvalidDataset, match=" "):
        read(content)


def test_a_missing_file_is_an_invalid_data_set(tmp_path):
    """A path that cannot be opened is a typed error, not a traceback."""
    with pytest.raises(InvalidDataset, match="cannot be read"):
        read_header(tmp_path / "none.dcm")


def test_sequences_nested_beyond_reason_are_refused(read):
    """Depth is counted before pydicom recurses, for defined and for undefined lengths."""
    open_ended = defined = MODALITY
    for _ in range(2000):
        open_ended = element(
            0x00081140, "SQ", ITEM + open_ended + ITEM_END + SEQUENCE_END, length=0xFFFFFFFF
        )
    for _ in range(40):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(defined)) + defined
        defined = element(0x00081140, "SQ", item)
    for nested in (open_ended, defined):
        with pytest.raises(LimitExceeded, match="nested"):
            read(image(nested))


@pytest.mark.parametrize("vr", ["SQ", "UN"])
def test_a_sequence_of_a_million_items_is_refused(read, vr):
    """Empty items cost eight bytes to send and a kilobyte each to hold."""
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 1_000_000
    with pytest.raises(LimitExceeded, match="elements"):
        read(image(element(0x00081140, vr, items)))


def test_a_value_of_a_million_values_is_refused(read):
    """Backslashes cost one byte to send and an object each to hold."""
    value = b"1\\" * 500_000
    bare = struct.pack("<HHL", 0x0028, 0x1050, len(value)) + value
    with pytest.raises(LimitExceeded, match="text"):
        read(image(bare, syntax=IMPLICIT))


def test_a_header_longer_than_the_limit_is_refused_before_it_is_read(read):
    """A private element of gigabytes is not read to reach the elements after it."""
    long = element(0x00091001, "OB", bytes(2**20))
    with pytest.raises(LimitExceeded, match="longer than 65536 bytes"):
        read(image(MODALITY, long), max_bytes=2**16)
    assert len(read(image(MODALITY, long))) == 2


def test_a_deflated_bomb_is_inflated_no_further_than_the_limit(read):
    """A gigabyte of zeros deflates to a megabyte; only the allowed part of it comes out."""
    deflate = zlib.compressobj(9, wbits=-15)
    bomb = deflate.compress(element(0x00091001, "OB", b"", length=2**30))
    bomb += b"".join(deflate.compress(bytes(2**20)) for _ in range(256)) + deflate.flush()
    with pytest.raises(LimitExceeded, match="longer than"):
        read(image(bomb, syntax=DEFLATED), max_bytes=2**20)


def test_a_value_that_cannot_be_decoded_is_left_out(read):
    """Reading any attribute of a header never raises, and the rest of the image is usable."""
    header = read(image(MODALITY, element(0x00280030, "DS", b"a,b ")))
    assert "PixelSpacing" not in header
    assert header.Modality == "DX"


@pytest.mark.parametrize(
    "value", [b"a,b ", b"2048\\wide", b"1,2,3 ", b"1.200,5 ", b"40\x00\x10\x00"]
)
def test_a_window_that_is_no_number_stays_to_be_reported(read, value):
    """It becomes NaN, which causes the note about the window, and reading it never raises."""
    header = read(image(MODALITY, element(0x00281051, "DS", value)))
    widths = header.WindowWidth if header["WindowWidth"].VM > 1 else [header.WindowWidth]
    assert isnan(widths[-1])
    assert [width for width in widths if not isnan(width)] == [2048.0] * (len(widths) - 1)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"1,0 ", 1.0),
        (b"-1024,5 ", -1024.5),
        (b" 0,002", 0.002),
        (b",5", 0.5),
        (b"+3,", 3.0),
        (b"1,5E3 ", 1500.0),
    ],
)
@pytest.mark.parametrize("tag", [0x00281052, 0x00281053, 0x00281050, 0x00281051])
def test_a_decimal_comma_is_read_as_a_point(read, tag, value, number):
    """Modalities with a European locale write it, in any decimal string."""
    assert read(image(MODALITY, element(tag, "DS", value)))[tag].value == number


def test_a_decimal_comma_is_read_in_each_of_several_values(read):
    """Pixel spacing and windows have more than one."""
    header = read(image(MODALITY, element(0x00280030, "DS", b"0,143\\0.143 ")))
    assert list(header.PixelSpacing) == [0.143, 0.143]


@pytest.mark.parametrize(
    "value", [b"one ", b"1\x00\x10\x00", b"1,000,0 ", b"1.000,0 ", b"\xff\xfe"]
)
def test_an_unreadable_slope_is_no_reason_to_refuse_an_instance_on_arrival(tmp_path, value):
    """It is stored; reading its pixels reports why they cannot be read."""
    path = tmp_path / "image.dcm"
    path.write_bytes(image(MODALITY, element(0x00281053, "DS", value)))
    header = read_header(path, strict=False)
    assert "RescaleSlope" not in header
    data_set = path.read_bytes()[path.read_bytes().index(MODALITY) :]
    arrived = read_arriving_header(
        data_set, size=len(data_set), transfer_syntax_uid=EXPLICIT, path=path, only=()
    )
    assert "RescaleSlope" not in arrived
    with pytest.raises(InvalidDataset, match=r"Rescale Slope \(0028,1053\)"):
        read_header(path)


@pytest.mark.parametrize(
    "terms", [b"\x00ISO_IR 100", b"ISO_IR 100\x00ab", b"ISO_IR\x00100", b"\x00\x00ab", b"\x00"]
)
@pytest.mark.parametrize("open_ended", [False, True])
def test_a_character_set_with_a_nul_is_cut_there(tmp_path, terms, open_ended):
    """Specific Character Set with NUL inside refuses no image, whether read whole or in part."""
    charset = element(0x00080005, "CS", terms.ljust(len(terms) + len(terms) % 2))
    item = charset + element(0x00400007, "LO", b"Thorax")
    inner = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF if open_ended else len(item)) + item
    inner += ITEM_END + SEQUENCE_END if open_ended else b""
    order = element(0x00400275, "SQ", inner, length=0xFFFFFFFF if open_ended else None)
    name = element(0x00100010, "PN", b"M\xfcller^Eva")
    path = tmp_path / "image.dcm"
    path.write_bytes(image(charset, MODALITY, name, order))
    for header in (read_header(path), read_header(path, only=[0x00100010, 0x00400275])):
        assert str(header.PatientName) == "Müller^Eva"
        assert header.RequestAttributesSequence[0].ScheduledProcedureStepDescription == "Thorax"


@pytest.mark.parametrize("uid", [b"1.2.3\x00ab", b"1.2.3\x00\x00 99", b"1.2.3 \x00", b"1.2.3\x00"])
def test_a_uid_ends_at_its_first_nul(read, uid):
    """Archives built on DCMTK cut there, so that results belong to the same study."""
    tags = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
    header = read(image(*(element(tag, "UI", uid.ljust(len(uid) + len(uid) % 2)) for tag in tags)))
    assert check_identity(header).study_instance_uid == "1.2.3"


@pytest.mark.parametrize("uid", ["1.2.03", "1.3.12.2.1107.5.3.007.20240101", "00.1", "0.0.0"])
def test_leading_zeros_of_a_uid_are_kept(read, uid):
    """They are against PS3.5 9.1, but a modality that sends them could never send otherwise."""
    tags = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
    encoded = uid.encode() + b"\0" * (len(uid) % 2)
    identity = check_identity(read(image(*(element(tag, "UI", encoded) for tag in tags))))
    assert identity.study_instance_uid == uid
    assert identity.sop_instance_uid == uid


@pytest.mark.parametrize(
    "uid", ["", "1", "1.", ".1", "1.2.a", "1.-2", "1. 2", "1.2.", "1." * 32 + "1"]
)
def test_what_is_no_dotted_number_of_64_characters_is_refused(uid):
    """It becomes part of file names and addresses."""
    with pytest.raises(InvalidIdentifier):
        check_uid(uid)


def test_an_identifier_that_occurs_twice_has_two_values(tmp_path):
    """DCMTK takes the first of two Patient IDs and pydicom the last: neither may be copied."""
    path = tmp_path / "image.dcm"
    first, second = (element(0x00100020, "LO", value) for value in (b"FIRST1", b"SECND2"))
    path.write_bytes(image(MODALITY, first, second))
    assert reading(read_header(path, only=[0x00100020]), "PatientID").fault is Inexact.SEVERAL
    path.write_bytes(image(MODALITY, first, first))
    assert reading(read_header(path, only=[0x00100020]), "PatientID").text == "FIRST1"


def test_an_undecodable_value_that_decides_what_the_pixels_mean_is_refused(read):
    """Without the slope its values would be a guess."""
    with pytest.raises(InvalidDataset, match="0028,1053"):
        read(image(element(0x00281053, "DS", b"one ")))


def test_every_truncation_of_an_image_is_answered(shared_data, read):
    """Wherever a transfer is cut, the result is a header or a DicomError."""
    content = (shared_data / "cxr-dicom/canon_dx_pa_mono1_12bit_j2k-lossless.dcm").read_bytes()
    answered = set()
    for length in range(0, 6000, 7):
        try:
            answered.add(read(content[:length]).get("SOPInstanceUID"))
        except DicomError as error:
            answered.add(type(error))
    whole = read(content).SOPInstanceUID
    # A complete header has the patient; an incomplete one is refused or lacks it.
    assert {whole, InvalidDataset} <= answered
    assert {each for each in answered if isinstance(each, str)} == {whole}


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=30))
def test_every_flip_of_bytes_is_answered(shared_data, read, flips):
    """For any bytes of a header the result is a header or a DicomError."""
    path = shared_data / "cxr-dicom/canon_dx_pa_mono1_12bit_j2k-lossless.dcm"
    content = bytearray(path.read_bytes()[:20_000])
    for at, value in flips:
        content[at] = value
    header = None
    with suppress(DicomError):
        header = read(bytes(content))
        check_identity(header)
        assert header.SOPInstanceUID, "an image without identity passed"
    assert header is None or isinstance(header, pydicom.Dataset)
