"""Files with HL7 v2 messages (ORU^R01), one or many, with or without MLLP's start and end bytes."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from service.errors import ConfigurationError
from service.final_reports.hl7_message import Hl7Fault
from service.final_reports.oru import OruContent, read_oru
from workers.final_reports.table_file import Line, LineFault, NoText, Preliminary, check_file

SUFFIX: Final = ".hl7"
_FRAMING: Final = re.compile(rb"[\x0b\x1c]")
_START: Final = re.compile(rb"(?:^|(?<=[\r\n]))MSH(?=[^A-Za-z0-9])")
# Headers and trailers of files and batches (HL7 v2.5.1 2.10.3).
_OF_BATCH: Final = re.compile(rb"(?:^|(?<=[\r\n]))(?:FHS|BHS|BTS|FTS)[^\r\n]*")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def read_messages(path: Path, accession_fields: Sequence[str]) -> Iterator[Line]:
    """Yield what each message of a file holds.

    Args:
        path: The file.
        accession_fields: Where the accession number is searched (`hl7.accession_fields`).

    Raises:
        ConfigurationError: The file cannot be read at all; the message states why and what to do.
    """
    check_file(path)
    try:
        content = path.read_bytes().removeprefix(_BYTE_ORDER_MARK)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None
    content = _OF_BATCH.sub(b"", _FRAMING.sub(b"\r", content))
    starts = [found.start() for found in _START.finditer(content)]
    if not starts or content[: starts[0]].strip():
        raise ConfigurationError(f"{path}: does not begin with MSH: is it a file of HL7 messages?")
    for number, (begin, end) in enumerate(
        zip(starts, [*starts[1:], len(content)], strict=True), start=1
    ):
        yield from _lines(f"{path} message {number}", content[begin:end], accession_fields)


def _lines(where: str, message: bytes, accession_fields: Sequence[str]) -> Iterator[Line]:
    try:
        found: OruContent = read_oru(message, accession_fields)
    except Hl7Fault as fault:
        yield LineFault(where, str(fault))
        return
    yield from found.reports
    yield from [Preliminary(where)] * found.preliminary
    yield from [NoText(where)] * found.without_text
