"""Acknowledgments of HL7 v2 messages (HL7 v2.5.1 2.9.2.2). Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.final_reports.hl7_message import Hl7Fault, header_fields

_DEFAULT: Final = ["MSH", "|", "^~\\&"]
_LONGEST_TEXT: Final = 200


class AckCode(StrEnum):
    """MSA-1, HL7 table 0008."""

    ACCEPT = "AA"
    ERROR = "AE"  # the same message may succeed later
    REJECT = "AR"  # the same message can never succeed


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a message; the text names segments and fields, never a value."""

    code: AckCode
    text: str


def acknowledgment(content: bytes, answer: Answer, now: datetime, number: str) -> bytes:
    """Return the acknowledgment of a message, with its delimiters, senders exchanged.

    Args:
        content: The message; it may be malformed.
        answer: What is answered.
        now: The time for MSH-7.
        number: The message control ID of the acknowledgment.
    """
    try:
        sent = header_fields(content)
    except Hl7Fault:
        sent = _DEFAULT
    field = [*sent, *[""] * 20]
    separator, others = field[1], field[2]
    kind = others[0].join(["ACK", _event(field[9], others[0]), "ACK"])
    header = ["MSH", others, field[5], field[6], field[3], field[4], f"{now:%Y%m%d%H%M%S%z}", ""]
    header += [kind, number, field[11] or "P", field[12] or "2.5.1"]
    header += ["", "", "", "", "", field[18]]
    accepted = ["MSA", answer.code.value, field[10], _plain(answer.text, separator + others)]
    lines = [separator.join(header).rstrip(separator), separator.join(accepted)]
    return "".join(f"{line}\r" for line in lines).encode("latin-1", errors="replace")


def _event(kind: str, component: str) -> str:
    parts = kind.split(component)
    return parts[1] if len(parts) > 1 else "R01"


def _plain(text: str, delimiters: str) -> str:
    """Return a text without delimiters, so that it needs no escape sequence."""
    return "".join(" " if each in delimiters or not each.isascii() else each for each in text)[
        :_LONGEST_TEXT
    ]
