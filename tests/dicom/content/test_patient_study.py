"""Patient and study attributes: copied as they are, valid for any image."""

from io import BytesIO

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from dicom.content.patient_study import clean_text, copied_modules, lo, overlong, value_of
from dicom.errors import InvalidDataset, InvalidIdentifier, MissingAttribute


def as_sent(header, **raw):
    """Return `header` as it would be read from a file, with raw bytes as the values of `raw`."""
    buffer = BytesIO()
    dcmwrite(buffer, header, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    read = dcmread(buffer, force=True)
    for keyword, (vr, value) in raw.items():
        tag = Tag(keyword)
        read[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return read


def test_values_are_copied_verbatim(image_header):
    """Names, identifiers and dates come through unchanged, with issuer and other identifiers."""
    copy = copied_modules(
        image_header(
            PatientName="Müller^Jörg^Karl^Dr.^jr.",
            IssuerOfPatientID="KLINIKUM",
            OtherPatientIDs=["A1", "B2"],
            StudyTime="101530.123456",
            PatientAge="066Y",
            PatientWeight="70.5",
        )
    )
    assert str(copy.PatientName) == "Müller^Jörg^Karl^Dr.^jr."
    assert (copy.PatientID, copy.IssuerOfPatientID) == ("SYN-1", "KLINIKUM")
    assert list(copy.OtherPatientIDs) == ["A1", "B2"]
    assert (copy.StudyDate, copy.StudyTime) == ("20260304", "101530.123456")
    assert (copy.PatientAge, str(copy.PatientWeight)) == ("066Y", "70.5")


@pytest.mark.parametrize(
    ("charset", "name", "expected"),
    [
        ("ISO_IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        ("ISO_IR 192", "Łódź^Zoë".encode(), "Łódź^Zoë"),
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        ("", "Müller".encode("latin-1"), "Müller"),
        ("NO SUCH SET", b"Plain^Name", "Plain^Name"),
    ],
)
def test_names_are_decoded_from_the_images_character_set(image_header, charset, name, expected):
    """The name becomes Unicode text for any declared character set, or none."""
    header = as_sent(image_header(), SpecificCharacterSet=("CS", charset.encode()))
    header = as_sent(header, PatientName=("PN", name))
    header.set_original_encoding(False, True, charset.split("\\") if charset else None)
    buffer = BytesIO()
    raw = as_sent(image_header())
    raw.SpecificCharacterSet = charset.split("\\") if charset else None
    dcmwrite(buffer, raw, implicit_vr=False, little_endian=True)
    sent = buffer.getvalue().replace(
        b"PN" + len(b"Film^Synthetic").to_bytes(2, "little") + b"Film^Synthetic",
        b"PN" + (len(name) + len(name) % 2).to_bytes(2, "little") + name + b" " * (len(name) % 2),
    )
    copy = copied_modules(dcmread(BytesIO(sent), force=True))
    assert str(copy.PatientName) == expected


def test_bytes_that_are_no_text_do_not_stop_the_result(image_header):
    """Bytes against the declared character set become replacement characters, valid UTF-8."""
    buffer = BytesIO()
    header = image_header(SpecificCharacterSet="ISO_IR 192", StudyDescription="Thorax")
    dcmwrite(buffer, header, implicit_vr=False, little_endian=True)
    sent = buffer.getvalue().replace(b"Thorax", b"Th\xff\xfeax")
    copy = copied_modules(dcmread(BytesIO(sent), force=True))
    copy.StudyDescription.encode("utf-8")
    assert copy.StudyDescription.startswith("Th")


def test_absent_attributes_are_empty_and_none_is_invented():
    """An image with a Study Instance UID and nothing else gives type 2 attributes, all empty."""
    header = Dataset()
    header.StudyInstanceUID = "1.2.3"
    copy = copied_modules(header)
    assert copy.pop("StudyInstanceUID").value == "1.2.3"
    assert len(copy) == 9
    assert all(not element.value for element in copy)


def test_an_image_without_study_is_refused():
    """The Study Instance UID is needed, and the error names it."""
    with pytest.raises(MissingAttribute, match="Study Instance UID"):
        copied_modules(Dataset())
    header = Dataset()
    header.StudyInstanceUID = "not.a.uid"
    with pytest.raises(InvalidIdentifier, match="Study Instance UID"):
        copied_modules(header)


def test_a_patient_id_that_cannot_be_written_is_refused_without_naming_it(image_header):
    """A shortened Patient ID would be another person's: an error, which does not repeat it."""
    for value in ("P" * 65, ["A", "B"]):
        with pytest.raises(InvalidDataset, match="another patient") as caught:
            copied_modules(image_header(PatientID=value))
        assert "PPP" not in str(caught.value)


def test_identifiers_too_long_are_left_out_and_descriptions_are_cut(image_header):
    """An accession number is never cut into another one; a description ends at its 64 characters."""
    header = image_header(
        AccessionNumber="A" * 20, StudyID="S" * 17, StudyDescription="d" * 70, PatientName="N" * 90
    )
    copy = copied_modules(header)
    assert (copy.AccessionNumber, copy.StudyID) == ("", "")
    assert (copy.StudyDescription, copy.PatientName) == ("d" * 64, "N" * 64)
    assert overlong(header, "AccessionNumber") == "A" * 20
    assert overlong(header, "PatientID") is None


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "expected"),
    [
        ("StudyDate", "DA", b"2004.08.26", "20040826"),
        ("StudyDate", "DA", b"20041399", ""),
        ("StudyDate", "DA", b"yesterday ", ""),
        ("StudyTime", "TM", b"18:50:59", "185059"),
        ("StudyTime", "TM", b"256161", ""),
        ("StudyTime", "TM", b"10", "10"),
        ("PatientBirthDate", "DA", b"unknown ", ""),
        ("PatientSex", "CS", b"W ", ""),
        ("PatientSex", "CS", b"F ", "F"),
    ],
)
def test_dates_times_and_codes_are_written_when_valid(image_header, keyword, vr, value, expected):
    """Old formats are understood, invalid values left empty."""
    assert (
        copied_modules(as_sent(image_header(), **{keyword: (vr, value)})).get(keyword) == expected
    )


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("PatientAge", "AS", b"66"),
        ("PatientWeight", "DS", b"heavy "),
        ("PatientSize", "DS", b"1.8e400 "),
        ("TypeOfPatientID", "CS", b"PASSPORT"),
        ("TimezoneOffsetFromUTC", "SH", b"CET "),
        ("PatientIdentityRemoved", "CS", b"YES "),
    ],
)
def test_optional_attributes_are_left_out_when_invalid(image_header, keyword, vr, value):
    """A type 3 attribute with a malformed value, or without its companion, is not repeated."""
    assert keyword not in copied_modules(as_sent(image_header(), **{keyword: (vr, value)}))


def test_sequences_are_copied_when_their_items_are_whole(image_header):
    """Other Patient IDs keep whole items; one without its type is left out."""
    whole, broken = Dataset(), Dataset()
    whole.PatientID, whole.TypeOfPatientID = "X1", "TEXT"
    broken.PatientID = "X2"
    copy = copied_modules(image_header(OtherPatientIDsSequence=Sequence([whole, broken])))
    assert [item.PatientID for item in copy.OtherPatientIDsSequence] == ["X1"]


def test_nesting_and_number_of_items_are_bounded(image_header):
    """An image with a thousand items, or items within items, cannot make a result of its size."""
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = "X", "TEXT"
    nested = Dataset()
    nested.PatientID, nested.TypeOfPatientID = "X", "TEXT"
    for _ in range(50):
        outer = Dataset()
        outer.PatientID, outer.TypeOfPatientID = "X", "TEXT"
        outer.OtherPatientIDsSequence = Sequence([nested])
        nested = outer
    header = image_header(OtherPatientIDsSequence=Sequence([nested, *[item] * 1000]))
    copy = value_of(header, "OtherPatientIDsSequence")
    assert len(copy) <= 32
    depth, inner = 0, copy
    while inner:
        depth, inner = depth + 1, inner[0].get("OtherPatientIDsSequence")
    assert depth <= 3


def test_clean_text_is_one_line_of_encodable_characters():
    """Control characters and lone surrogates are removed; blanks collapse; the length is limited."""
    assert clean_text("a\r\n\tb\x00 c\ud800") == "a b c?"
    assert clean_text("abcdef", 3) == "abc"
    assert lo("a\\b" + "x" * 99) == "a/b" + "x" * 61


def test_a_phantoms_results_state_that_they_are_about_a_phantom():
    """Quality Control Subject is copied; values other than YES and NO are not."""
    source = Dataset()
    source.StudyInstanceUID = "2.25.1"
    source.QualityControlSubject = "YES"
    assert copied_modules(source).QualityControlSubject == "YES"
    source.QualityControlSubject = "MAYBE"
    assert "QualityControlSubject" not in copied_modules(source)
