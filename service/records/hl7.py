"""Records of HL7 messages."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class MessageResult(StrEnum):
    """What became of an HL7 message; stored in `hl7_messages.result`."""

    TAKEN = "taken"
    REPEATED = "known already"
    PRELIMINARY = "preliminary, not used"
    NO_TEXT = "without readable text"
    REFUSED = "refused"  # answered AR
    NOT_STORED = "not stored"  # answered AE: the sender repeats it


@dataclass(frozen=True, slots=True)
class MessageCount:
    """How many messages had a result, and when the last one came."""

    result: MessageResult
    count: int
    last_at: datetime
