"""HL7 v2 messages: delimiters, character set, segments, escapes (HL7 v2.5.1 chapter 2). Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from service.errors import WetreadError

_MOST_SEGMENTS: Final = 20_000
_NAME: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_ESCAPE: Final = (
    r"(?P<letter>[FSTRE])|[Xx](?P<hex>(?:[0-9A-Fa-f]{2})+)"
    r"|\.(?P<command>(?i:br|sp|ce|fi|nf|in|ti|sk))(?P<count>[+-]?\d{0,3})|[HNP]|[CMZ][0-9A-Za-z]*"
)
# HL7 table 0211, names of PS3.3 C.12.1.1.2 that some senders write, and Python's codec.
_CHARACTER_SETS: Final[Mapping[str, str]] = {
    **{f"8859/{part}": f"iso8859_{part}" for part in (*range(1, 12), *range(13, 17))},
    **dict.fromkeys(("unicode", "unicode utf-8", "utf-8", "utf8", "iso_ir 192"), "utf-8"),
    "iso_ir 100": "iso8859_1",
    "iso_ir 101": "iso8859_2",
    "windows-1252": "cp1252",
    "iso ir14": "shift_jis",
    "gb 18030-2000": "gb18030",
    "ks x 1001": "euc_kr",
    "big-5": "big5",
}
# JIS X 0208 and 0212, always by escape sequences: Japanese senders state `~ISO IR87`.
_SWITCHED: Final = frozenset({"iso ir87", "iso ir159"})
_ISO_2022: Final = "iso2022_jp_ext"
_TO_KANJI: Final = b"\x1b$"
# Nothing is stated, or a set to which many senders do not keep.
_UNSTATED: Final = frozenset({"", "ascii", "iso_ir 6"})
_FALLBACK: Final = "iso8859_1"
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Hl7Fault(WetreadError):
    """A message cannot be used.

    Attributes:
        where: The segment or field, such as `OBR-18`.
    """

    def __init__(self, where: str, message: str) -> None:
        """Take the place, and what is wrong and what to do; a value may be a patient attribute."""
        super().__init__(f"{where}: {message}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The delimiters of a message (MSH-1 and MSH-2); "" for one that it does not use."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment with its fields as they were sent, by number; MSH-1 is field 1."""

    name: str
    fields: tuple[str, ...] = field(repr=False)

    def field(self, number: int) -> str:
        """Return a field as it was sent, "" for an absent one."""
        # `""` deletes a value in updates (HL7 v2.5.1 2.5.3.2): nothing stands there.
        found = self.fields[number] if number < len(self.fields) else ""
        return "" if found == '""' else found


@dataclass(frozen=True, slots=True)
class Message:
    """A parsed message.

    Attributes:
        delimiters: As MSH states them.
        codec: Python's name of its character set.
        segments: All of them, MSH first.
    """

    delimiters: Delimiters
    codec: str
    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def repetitions(self, segment: Segment, number: int) -> list[str]:
        """Return the repetitions of a field as they were sent."""
        return _split(segment.field(number), self.delimiters.repetition)

    def components(self, value: str) -> list[str]:
        """Return the text of each component of one repetition: its first subcomponent."""
        parts = _split(value, self.delimiters.component)
        return [self.text(_split(part, self.delimiters.subcomponent)[0]).strip() for part in parts]

    def component(self, segment: Segment, number: int, position: int = 1) -> str:
        """Return the text of a component of a field's first repetition, "" for an absent one."""
        found = self.components(self.repetitions(segment, number)[0])
        return found[position - 1] if position <= len(found) else ""

    def text(self, value: str) -> str:
        r"""Return a value with its escape sequences undone; line commands such as `\.br\` become \n."""
        escape = self.delimiters.escape
        if escape and escape in value:
            mark = re.escape(escape)
            value = re.sub(f"{mark}(?:{_ESCAPE}){mark}", partial(_unescaped, self), value)
        return _UNSEEN.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))


def parse(content: bytes) -> Message:
    """Return a message.

    Args:
        content: Its segments, separated by CR; LF or CR LF are accepted.

    Raises:
        Hl7Fault: It is no HL7 v2 message, or malformed.
    """
    delimiters, fields = _header(content)
    stated = _split(fields[18] if len(fields) > 18 else "", delimiters.repetition)
    codec = _codec(stated, content)
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        raise Hl7Fault("MSH-18", "the message is not in this character set: correct it") from None
    lines = _lines(text)
    if len(lines) > _MOST_SEGMENTS:
        raise Hl7Fault("message", f"has more than {_MOST_SEGMENTS} segments: no report has")
    first = Segment("MSH", tuple(fields))
    others = (_segment(number, line, delimiters) for number, line in enumerate(lines[1:], start=2))
    return Message(delimiters, codec, (first, *others))


def header_fields(content: bytes) -> list[str]:
    """Return the fields of MSH by number, as Latin-1, of a message that may be malformed.

    Raises:
        Hl7Fault: It does not begin with MSH, or has no usable delimiters.
    """
    return _header(content)[1]


def _header(content: bytes) -> tuple[Delimiters, list[str]]:
    line = re.split(rb"[\r\n]", content.lstrip(b"\r\n"), maxsplit=1)[0].decode("latin-1")
    if not line.startswith("MSH") or len(line) < 8:
        raise Hl7Fault("MSH", "the message does not begin with this segment")
    separator = line[3]
    fields = line.split(separator)
    others = fields[1]
    chosen = [separator, *others]
    if not 2 <= len(others) <= 5 or len(set(chosen)) != len(chosen) or _is_worded(chosen):
        raise Hl7Fault("MSH-2", "does not name four different delimiters, usually ^~\\&")
    component, repetition, escape, subcomponent = (*others[:4], *"  ")[:4]
    delimiters = Delimiters(separator, component, repetition, escape.strip(), subcomponent.strip())
    return delimiters, ["MSH", separator, *fields[1:]]


def _is_worded(chosen: list[str]) -> bool:
    return any(each.isalnum() or each.isspace() for each in chosen)


def _codec(stated: Sequence[str], content: bytes) -> str:
    names = [each.strip().casefold() for each in stated]
    # Further sets are switched to by escape sequences of ISO 2022; some senders do not state them.
    if not _SWITCHED.isdisjoint(names) or (names[0] in _UNSTATED and _TO_KANJI in content):
        return _ISO_2022
    name = names[0]
    if name in _UNSTATED:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            return _FALLBACK
        return "utf-8"
    if name not in _CHARACTER_SETS:
        raise Hl7Fault("MSH-18", "names an unknown character set: send UNICODE UTF-8 or 8859/1")
    return _CHARACTER_SETS[name]


def _lines(text: str) -> list[str]:
    text = text.replace("\r\n", "\r").strip("\r\n")
    if "\r" not in text:
        text = text.replace("\n", "\r")
    return [line for each in text.split("\r") if (line := each.lstrip("\n"))]


def _segment(number: int, line: str, delimiters: Delimiters) -> Segment:
    fields = line.split(delimiters.field)
    if not _NAME.fullmatch(fields[0].strip()):
        raise Hl7Fault(
            f"segment {number}",
            "does not begin with a segment name: write a line break in a text as \\.br\\",
        )
    return Segment(fields[0].strip(), tuple(fields))


def _split(value: str, delimiter: str) -> list[str]:
    return value.split(delimiter) if delimiter else [value]


def _unescaped(message: Message, found: re.Match[str]) -> str:
    delimiters = message.delimiters
    if letter := found["letter"]:
        return {
            "F": delimiters.field,
            "S": delimiters.component,
            "T": delimiters.subcomponent,
            "R": delimiters.repetition,
            "E": delimiters.escape,
        }[letter]
    if digits := found["hex"]:
        return bytes.fromhex(digits).decode(message.codec, errors="replace")
    return _laid_out((found["command"] or "").lower(), found["count"] or "")


def _laid_out(command: str, count: str) -> str:
    """Return the text of a formatting command (HL7 v2.5.1 2.7.6); "" for one without text."""
    number = max(1, int(count)) if count.lstrip("+-") else 1
    if command in {"br", "ce"}:
        return "\n"
    return {"sp": "\n", "sk": " "}.get(command, "") * min(number, 80)
