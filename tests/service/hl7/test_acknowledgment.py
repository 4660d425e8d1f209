"""Acknowledgments, as two other parsers read them."""

from datetime import UTC, datetime

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from service.hl7.acknowledgment import AckCode, Answer, acknowledgment
from tests.hl7_messages import header, message

NOW = datetime(2026, 11, 30, 8, 15, tzinfo=UTC)
REJECTED = Answer(AckCode.REJECT, "OBR-25: is empty, and so is OBX-11: state F, C, A, P, X or W")


def test_an_acknowledgment_is_valid():
    """Strictly by hl7apy; sender and receiver exchanged, MSH-10 repeated."""
    sent = acknowledgment(message(header("C1")), REJECTED, NOW, "N7").decode()
    found = hl7.parse(sent)
    assert str(found["MSA"][0]) == f"MSA|AR|C1|{REJECTED.text}"
    msh = [str(found["MSH"][0][number]) for number in (3, 4, 5, 6, 9, 10, 11, 12)]
    assert msh == ["WETREAD", "WETREAD", "RIS", "HOSPITAL", "ACK^R01^ACK", "N7", "P", "2.5.1"]
    strict = parse_message(sent, validation_level=VALIDATION_LEVEL.STRICT)
    assert strict.validate()
    assert strict.msa.msa_1.value == "AR"


def test_other_delimiters_are_used_and_their_characters_are_not_in_the_text():
    """A comma, too, may be a delimiter."""
    sent = acknowledgment(b"MSH#*,?+#R#H#W#V###ORU*R01#9#T#2.3", REJECTED, NOW, "1")
    lines = sent.decode().split("\r")
    assert lines[0] == "MSH#*,?+#W#V#R#H#20261130081500+0000##ACK*R01*ACK#1#T#2.3"
    assert lines[1].startswith("MSA#AR#9#OBR-25: is empty  and so")


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"MSH|", b"GET / HTTP/1.1"])
def test_what_is_no_message_is_answered_too(content):
    """With the usual delimiters and no control ID."""
    sent = acknowledgment(content, REJECTED, NOW, "1").decode()
    assert sent.split("\r")[1].startswith("MSA|AR||OBR-25")


def test_a_control_id_of_other_characters_is_repeated_byte_by_byte():
    """In the character set of the sender."""
    sent = acknowledgment(message(header("Ö1")), REJECTED, NOW, "1")
    assert b"|AR|\xc3\x961|" in sent
