"""HL7 v2 messages are parsed as two other parsers do, and faults name their place."""

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from service.final_reports.hl7_message import Hl7Fault, parse
from tests.hl7_messages import header, line, message, order, patient, simple, thousand

ESCAPES = [
    ("a\\F\\b", "a|b"),
    ("a\\S\\b\\T\\c\\R\\d\\E\\e", "a^b&c~d\\e"),
    ("one\\.br\\two\\.sp2\\three", "one\ntwo\n\nthree"),
    ("\\X0D0A\\x\\XC3A4\\", "\nxä"),
    ("\\H\\bold\\N\\ \\Zlocal\\end", "bold end"),
    ("C:\\temp stays", "C:\\temp stays"),
    ("\\E\\F\\E\\", "\\F\\"),
    ("a\\X00\\b\\X1C\\", "ab"),
    ("\\.BR\\x", "\nx"),
]


@pytest.mark.parametrize(("sent", "text"), ESCAPES)
def test_escape_sequences(sent, text):
    """Each is undone once; what is none stays."""
    assert parse(simple()).text(sent) == text


@pytest.mark.parametrize("sent", ["a\\F\\b", "a\\S\\b\\T\\c\\R\\d\\E\\e", "\\X41\\x"])
def test_escape_sequences_as_the_library_hl7_reads_them(sent):
    """The oracle undoes the same."""
    assert parse(simple()).text(sent) == hl7.parse(simple().decode()).unescape(sent)


def test_fields_as_two_other_parsers_read_them():
    """Segments, control IDs, accession numbers and texts of different messages."""
    for content in thousand().messages[:8]:
        ours, theirs = parse(content), hl7.parse(content.decode())
        strict = parse_message(
            content.decode(), validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False
        )
        assert [each.name for each in ours.segments] == [str(each[0]) for each in theirs]
        assert [each.name for each in ours.segments] == [each.name for each in strict.children]
        assert ours.header.field(10) == str(theirs["MSH"][0][10]) == strict.msh.msh_10.value
        for segment, other in zip(ours.segments, theirs, strict=True):
            every = range(1 if segment.name != "MSH" else 3, len(segment.fields))
            assert [segment.field(each) for each in every] == [str(other[each]) for each in every]
        obr = next(each for each in ours.segments if each.name == "OBR")
        assert ours.component(obr, 18) == strict.obr[0].obr_18.value


def test_other_delimiters():
    """MSH-1 and MSH-2 decide; five characters are permitted (version 2.7)."""
    content = b"MSH#*!?+%#RIS#H#W#W#2026##ORU*R01#7#P#2.7\rOBR#1##X*Y+Z!Q##?T?"
    found = parse(content)
    assert found.component(found.header, 9, 2) == "R01"
    obr = found.segments[1]
    assert found.repetitions(obr, 3) == ["X*Y+Z", "Q"]
    assert found.components("X*Y+Z") == ["X", "Y"]
    assert found.text(obr.field(5)) == "+"


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("UNICODE UTF-8", "utf-8"),
        ("8859/1", "latin-1"),
        ("8859/15", "iso8859-15"),
        ("", "utf-8"),
        ("", "latin-1"),
        ("ASCII", "latin-1"),
        ("8859/1~UNICODE UTF-8", "latin-1"),
    ],
)
def test_character_sets(charset, encoding):
    """MSH-18 decides; without it UTF-8 where the bytes are that, else ISO 8859-1."""
    content = message(header(charset=charset), order(), line("Ödem"), encoding=encoding)
    found = parse(content)
    assert found.text(found.segments[2].field(5)) == "Ödem"


@pytest.mark.parametrize(
    "charset", ["~ISO IR87", "ASCII~ISO IR87", "ISO IR6~ISO IR159", "ISO IR87", ""]
)
def test_sets_that_escape_sequences_switch_to(charset):
    """Japanese senders name them after the first repetition, which is empty, or not at all."""
    words = line("肺炎なし。")
    content = message(header(charset=charset), order(), words, encoding="iso2022_jp")
    found = parse(content)
    assert found.text(found.segments[2].field(5)) == "肺炎なし。"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_ends_of_segments(end):
    """CR by the standard; files have others."""
    found = parse(end.join([header(), patient(), order(), ""]).encode())
    assert [each.name for each in found.segments] == ["MSH", "PID", "OBR"]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "MSH"),
        (b"PID|1", "MSH"),
        (b"MSH|^~", "MSH"),
        (b"MSH|^^\\&|A|B", "MSH-2"),
        (b"MSH|abcd|A|B", "MSH-2"),
        (message(header(charset="KLINGON"), order()), "MSH-18"),
        (message(header(), order(), line("Ödem"), encoding="latin-1"), "MSH-18"),
        (message(header(), order(), "OBX|1|TX|||secret", "of the patient|"), "segment 4"),
    ],
)
def test_a_malformed_message_is_refused_with_its_place(content, where):
    """The fault names segment or field, never a value."""
    with pytest.raises(Hl7Fault) as fault:
        parse(content)
    assert fault.value.where == where
    assert "patient|" not in str(fault.value)
