"""Identifiers: the text that every archive reads, or a reason; checked with a real Orthanc."""

import struct
from itertools import count

import pytest
import requests
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from dicom.content.patient_study import copied_modules
from dicom.errors import InvalidDataset
from dicom.exact_text import Inexact, name_fault, reading
from dicom.parsing.header import read_encoded_header
from dicom.selection.copy_notes import copy_notes
from dicom.selection.one_patient import are_one_patient
from dicom.validation.result_object import ValidationFailed
from dicom.validation.same_patient import check_result, check_source
from dicom.validation.source_image import filing_faults

CR = b"1.2.840.10008.5.1.4.1.1.1"
EXPLICIT = b"1.2.840.10008.1.2.1"
UTF_8 = b"ISO_IR 192"
ALL_ASCII = "".join(chr(c) for c in range(0x20, 0x7F) if chr(c) != "\\")

# Bytes, Specific Character Set, and the text that results carry.
EXACT = [
    (b"12345", None, "12345"),
    (b"12345\0", None, "12345"),
    (b"12345\0\0\0", None, "12345"),
    (b"12345\0 ", None, "12345"),
    (b"12345   ", UTF_8, "12345"),
    (b"  12345", None, "  12345"),
    (b"12  345", UTF_8, "12  345"),
    (b"1^2=3/4&5", None, "1^2=3/4&5"),
    (ALL_ASCII[:60].strip().encode(), None, ALL_ASCII[:60].strip()),
    (b"A~B", b"\\ISO 2022 IR 87", "A~B"),
    (b"12345", b"ISO_IR 13", "12345"),
    (b"12345", b"NO SUCH SET", "12345"),
    (b"12345", b"ISO_IR 203", "12345"),
    (b"12345", b"\xff\xfe", "12345"),
    (b"M\xfc-77", b"ISO_IR 100", "Mü-77"),
    (b"M\xc3\xbc-77", b"ISO_IR 100", "MÃ¼-77"),
    ("Mü-77".encode(), UTF_8, "Mü-77"),
    ("é".encode() * 64, UTF_8, "é" * 64),
    ("e\u0301".encode(), UTF_8, "e\u0301"),
    ("12\u00a0".encode(), UTF_8, "12\u00a0"),
    ("\ufeff12345".encode(), UTF_8, "\ufeff12345"),
    (b"12\xa045", b"ISO_IR 100", "12\u00a045"),
    (b"\xd6\xd0\xb9\xfa1", b"GB18030", "中国1"),
    (b"\xd6\xd0\xb9\xfa1", b"GBK", "中国1"),
    (b"\xb1\xb2", b"ISO_IR 13", "ｱｲ"),
    (b"\xe4\xe5", b"ISO_IR 144", "фх"),
    (b"\xe4\xe5", b"ISO_IR 126", "δε"),
    (b"\xa1\xa2", b"ISO_IR 166", "กข"),
    (b"\xe4\xe5", b"ISO_IR 127", "لم"),
    (b"", None, ""),
    (b"\0\0", None, ""),
    (b"    ", None, ""),
]
INEXACT = [
    (b"12345\r\n", None, Inexact.CONTROL),
    (b"12345\n", UTF_8, Inexact.CONTROL),
    (b"12346\t", None, Inexact.CONTROL),
    (b"\t12346", None, Inexact.CONTROL),
    (b"123\t47", UTF_8, Inexact.CONTROL),
    (b"12\x0b3\x0c", None, Inexact.CONTROL),
    (b"12350\0ab", None, Inexact.CONTROL),
    (b"12345\0\0\0 99", None, Inexact.CONTROL),
    (b"\0" + b"12345", None, Inexact.CONTROL),
    (b"1234 \0", None, Inexact.CONTROL),
    (b"12\x7f51", None, Inexact.CONTROL),
    (b"123\x1b56", None, Inexact.CONTROL),
    (b"\x1b$B;3ED\x1b(B1", b"\\ISO 2022 IR 87", Inexact.CONTROL),
    (b"12\x9651", b"ISO_IR 100", Inexact.CONTROL),
    ("12\u008551".encode(), UTF_8, Inexact.CONTROL),
    (b"12\x9651", None, Inexact.UNDECLARED),
    (b"M\xfc-77", None, Inexact.UNDECLARED),
    ("Mü-77".encode(), None, Inexact.UNDECLARED),
    (b"\xd6\xd0\xb9\xfa1", None, Inexact.UNDECLARED),
    (b"M\xfc-77", b"ISO-IR 100", Inexact.UNDECLARED),
    (b"M\xfc-77", b"UTF-8", Inexact.UNDECLARED),
    (b"M\xfc-77", b"ISO_IR 203", Inexact.UNDECLARED),
    (b"M\xfc-77", b"ISO_IR 6", Inexact.UNDECLARED),
    (b"M\xfc-77", b"ISO_IR 100\\ISO 2022 IR 87", Inexact.UNDECLARED),
    (b"M\xfc-77", UTF_8, Inexact.UNDECODABLE),
    (b"12\xff51", UTF_8, Inexact.UNDECODABLE),
    (b"12\xed\xa0\x80", UTF_8, Inexact.UNDECODABLE),
    ("12\ufffd".encode(), UTF_8, Inexact.UNDECODABLE),
    ("12\ue000".encode(), UTF_8, Inexact.UNDECODABLE),
    ("12\u2028".encode(), UTF_8, Inexact.UNDECODABLE),
    (b"\xd6\xd0\xb9\xfa1", UTF_8, Inexact.UNDECODABLE),
    (b"12\xd6", b"GB18030", Inexact.UNDECODABLE),
    (b"\xdb\xdc", b"ISO_IR 166", Inexact.UNDECODABLE),
    (b"A~B", b"ISO_IR 13", Inexact.UNDECODABLE),
    (b"\x88\x9f", b"ISO_IR 13", Inexact.UNDECODABLE),
    (b"A\\B", None, Inexact.SEVERAL),
    (b"12345\\", None, Inexact.SEVERAL),
    (b"\\12345", None, Inexact.SEVERAL),
    (b"\xe8\\1", b"GBK", Inexact.SEVERAL),
    (b"P" * 65, None, Inexact.TOO_LONG),
    ("é".encode() * 65, UTF_8, Inexact.TOO_LONG),
]
numbers = count(1)


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Return one element in explicit VR little endian."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in {"OB", "SQ", "UN", "UT"}:
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def padded(uid: bytes) -> bytes:
    """Return a UID of even length."""
    return uid + b"\0" * (len(uid) % 2)


def image(
    patient_id: bytes, charset: bytes | None = None, *, vr: str = "LO", more: tuple[bytes, ...] = ()
) -> bytes:
    """Return a PS3.10 file with these bytes as its Patient ID, as an instance of its own."""
    uid = padded(b"1.2.3.%d" % next(numbers))
    meta = element(0x00020002, "UI", padded(CR)) + element(0x00020003, "UI", uid)
    meta += element(0x00020010, "UI", padded(EXPLICIT)) + element(0x00020012, "UI", b"1.22")
    meta = element(0x00020000, "UL", struct.pack("<L", len(meta))) + meta
    elements = [
        *(
            ()
            if charset is None
            else (element(0x00080005, "CS", charset.ljust(len(charset) // 2 * 2)),)
        ),
        element(0x00080016, "UI", padded(CR)),
        element(0x00080018, "UI", uid),
        element(0x00100010, "PN", b"Film^Eva"),
        element(0x00100020, vr, patient_id + b" " * (len(patient_id) % 2)),
        element(0x0020000D, "UI", padded(b"1.2.3.4")),
        element(0x0020000E, "UI", padded(b"1.2.3.5")),
        *more,
    ]
    elements.sort(key=lambda each: struct.unpack("<HH", each[:4]))
    return bytes(128) + b"DICM" + meta + b"".join(elements)


@pytest.mark.parametrize(("patient_id", "charset", "text"), EXACT)
def test_a_patient_id_that_all_archives_read_alike_is_copied(patient_id, charset, text):
    """Only padding is removed, for any letters."""
    header = read_encoded_header(image(patient_id, charset))
    assert copied_modules(header).PatientID == text


@pytest.mark.parametrize(("patient_id", "charset", "fault"), INEXACT)
def test_any_other_patient_id_ends_the_results(tmp_path, patient_id, charset, fault):
    """The reason states the fault and what to do, and never the identifier."""
    content = image(patient_id, charset)
    assert reading(read_encoded_header(content), "PatientID").fault is fault
    with pytest.raises(InvalidDataset, match="another patient") as caught:
        copied_modules(read_encoded_header(content))
    assert str(fault) in str(caught.value)
    assert "12" not in str(caught.value).replace("0010,0020", "")
    path = tmp_path / "image.dcm"
    path.write_bytes(content)
    with pytest.raises(InvalidDataset, match="another patient"):
        check_source(path)


@pytest.mark.parametrize(("keyword", "tag", "vr"), [
    ("AccessionNumber", 0x00080050, "SH"),
    ("StudyID", 0x00200010, "SH"),
    ("IssuerOfPatientID", 0x00100021, "LO"),
    ("OtherPatientIDs", 0x00101000, "LO"),
    ("PlacerOrderNumberImagingServiceRequest", 0x00402016, "LO"),
])  # fmt: skip
@pytest.mark.parametrize(
    ("value", "charset", "fault"), [each for each in INEXACT if len(each[0]) < 15]
)
def test_other_identifiers_are_left_out_with_a_note(keyword, tag, vr, value, charset, fault):
    """An empty value is better than another identifier."""
    more = element(tag, vr, value + b" " * (len(value) % 2))
    header = read_encoded_header(image(b"12345", charset, more=(more,)))
    copied = copied_modules(header).get(keyword)
    if fault is Inexact.SEVERAL and keyword == "OtherPatientIDs":
        return
    assert not copied
    (note,) = copy_notes(header)
    assert str(Tag(tag)) in note
    assert str(fault) in note


@pytest.mark.parametrize("vr", ["UN", "OB", "US", "FL", "SQ"])
def test_a_patient_id_that_is_no_text_ends_the_results(vr):
    """An archive reads such a value as empty, as numbers, or not at all."""
    with pytest.raises(InvalidDataset, match="not one of text"):
        copied_modules(read_encoded_header(image(b"12345678", vr=vr)))


@pytest.mark.parametrize("vr", ["SH", "ST", "UT", "PN", "CS", "AE", "IS"])
def test_a_patient_id_of_another_text_vr_is_copied(vr):
    """Its bytes are the same text."""
    assert copied_modules(read_encoded_header(image(b"001234", vr=vr))).PatientID == "001234"


@pytest.mark.parametrize(
    "value", ["1\n2", "1\x002", "1\ufffd", chr(0xD800), "1\x96", ["1", "2"], "1" * 65]
)
def test_a_header_that_was_built_in_memory_is_held_to_the_same(image_header, value):
    """Where there are no bytes the text decides."""
    with pytest.raises(InvalidDataset, match="another patient"):
        copied_modules(image_header(PatientID=value))


def test_a_header_that_pydicom_read_still_has_its_bytes(image_header):
    """Not decoded yet, its raw value and its character set decide."""
    header = image_header(SpecificCharacterSet="ISO_IR 192")
    tag = Tag("PatientID")
    header[tag] = RawDataElement(tag, "LO", 6, b"M\xfc-77 ", 0, False, True)
    assert reading(header, "PatientID").fault is Inexact.UNDECODABLE
    header.SpecificCharacterSet = "ISO_IR 100"
    assert reading(header, "PatientID").text == "Mü-77"


def test_an_issuer_or_other_identifier_is_copied_whole_or_not_at_all(image_header):
    """Half an issuer is another issuer."""
    issuer, other, order = Dataset(), Dataset(), Dataset()
    issuer.LocalNamespaceEntityID, issuer.UniversalEntityID = "SITE\n", "1.2.3"
    issuer.UniversalEntityIDType = "ISO"
    other.PatientID, other.TypeOfPatientID, other.IssuerOfPatientID = "X1", "TEXT", "A\x1bB"
    order.RequestedProcedureID = "R\x001"
    header = image_header(
        IssuerOfAccessionNumberSequence=Sequence([issuer]),
        OtherPatientIDsSequence=Sequence([other]),
        RequestAttributesSequence=Sequence([order]),
    )
    copied = copied_modules(header)
    assert "IssuerOfAccessionNumberSequence" not in copied
    assert "OtherPatientIDsSequence" not in copied
    noted = " ".join(copy_notes(header))
    for tag in ("(0040,0031)", "(0010,0021)", "(0040,1001)"):
        assert tag in noted
    issuer.LocalNamespaceEntityID = "SITE"
    assert copied_modules(header).IssuerOfAccessionNumberSequence[0].UniversalEntityID == "1.2.3"


@pytest.mark.parametrize(
    ("name", "charset", "written", "noted"),
    [
        (b"Film^Eva", None, "Film^Eva", False),
        (b"Film^Eva  Maria^^", None, "Film^Eva  Maria^^", False),
        ("山田\u3000太^郎".encode(), UTF_8, "山田\u3000太^郎", False),
        (b"M\xfcller", b"ISO_IR 100", "Müller", False),
        (b"Yamada^T=\x1b$B;3ED\x1b(B", b"\\ISO 2022 IR 87", "Yamada^T=山田", False),
        (b"Film^Eva\r\n", None, "Film^Eva", True),
        (b"Film\0^Eva", None, "Film^Eva", True),
        (b"M\xfcller", UTF_8, "M\ufffdller", True),
        (b"Film\x1b^Eva", None, None, True),
        (b"Film\\Eva", None, "Film Eva", True),
        (b"N" * 70, None, "N" * 64, True),
    ],
)
def test_a_name_is_never_changed_without_a_note(name, charset, written, noted):
    """A name does not identify; where it is not the same, the draft states it."""
    content = image(b"12345", charset).replace(
        element(0x00100010, "PN", b"Film^Eva"),
        element(0x00100010, "PN", name + b" " * (len(name) % 2)),
    )
    header = read_encoded_header(content)
    if written is not None:
        assert str(copied_modules(header).PatientName) == written
    notes = [note for note in copy_notes(header) if "(0010,0010)" in note]
    assert len(notes) == noted
    assert noted or name_fault(header, "PatientName") is None


def test_a_patient_id_without_an_exact_reading_states_nothing_of_the_patient():
    """Name and birth date decide then, so that a corrected image can join its study."""
    plain, same, other = (
        read_encoded_header(image(patient_id))
        for patient_id in (b"12345", b"12345\0", b"12345\r\n")
    )
    assert are_one_patient([plain, same])
    assert are_one_patient([plain, other])
    other.PatientName = "Another^Person"
    assert not are_one_patient([plain, other])
    assert not are_one_patient([plain, read_encoded_header(image(b" 12345"))])


def test_a_result_with_other_identifiers_than_its_image_does_not_leave(tmp_path):
    """The file and the stored bytes are compared to detect any change."""
    path = tmp_path / "image.dcm"
    accession = element(0x00080050, "SH", b"ACC-01")
    path.write_bytes(image(b"M\xfc-77", b"ISO_IR 100", more=(accession,)))
    result = image("Mü-77".encode(), UTF_8, more=(accession,))
    check_result(result, [path])
    check_result(image("Mü-77".encode(), UTF_8), [tmp_path / "image.dcm"])
    for wrong in (
        image("Mü-7".encode(), UTF_8),
        image("Mü-77 x".encode(), UTF_8),
        image(b"", UTF_8),
        image(b"M\xfc-77", UTF_8),
        image("Mü-77".encode(), UTF_8, more=(element(0x00080050, "SH", b"ACC-02"),)),
        image("Mü-77".encode(), UTF_8, more=(element(0x00100021, "LO", b"SITE-A"),)),
        result.replace(b"1.2.3.4\0", b"1.2.3.9\0"),
    ):
        with pytest.raises(ValidationFailed, match="is not that of the image"):
            check_result(wrong, [path])
    with pytest.raises(ValidationFailed, match="no source image"):
        check_result(result, [])
    path.write_bytes(image(b"12345\r\n"))
    with pytest.raises(ValidationFailed, match="has no exact copy"):
        check_result(image(b"12345"), [path])


def test_the_gate_itself_finds_a_changed_patient_id(image_header):
    """The check in memory has the same rules as the one of the files."""
    source = read_encoded_header(image(b"12345\0ab"))
    assert any("Patient ID" in reason for _, reason in filing_faults(image_header(), source))


def _filed(orthanc, content: bytes) -> str:
    """Return Orthanc's identifier of the patient that it files an instance under."""
    answer = requests.post(f"{orthanc.url}/instances", data=content, timeout=30)
    answer.raise_for_status()
    return answer.json()["ParentPatient"]


@pytest.mark.parametrize(("patient_id", "charset", "text"), EXACT)
def test_orthanc_files_result_and_image_under_one_patient(orthanc, patient_id, charset, text):
    """Results have the identifiers that a real archive decodes from the image's bytes."""
    filed = _filed(orthanc, image(patient_id, charset))
    assert _filed(orthanc, image(text.encode(), UTF_8)) == filed
