"""The audit trail: who did what, to which study; each record is chained to the one before. Pure.

Records are only added. The digest of a record covers the digest of the record before, so that a
change, a removal or an insertion anywhere shows (`wetread audit verify`); the removal of the newest
records shows against a digest that was noted elsewhere, such as at a syslog server.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.idempotency import RequestClaim

# The digest before the first record.
BEGINNING: Final = "0" * 64
CSV_COLUMNS: Final = (
    "id",
    "at",
    "action",
    "outcome",
    "actor",
    "person_id",
    "address",
    "study_uid",
    "patient_id",
    "job_id",
    "detail",
    "digest",
)
# With what a cell begins that a spreadsheet takes for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class AuditAction(StrEnum):
    """What was done."""

    LOGIN = "login"
    LOGOUT = "logout"
    BREAK_GLASS = "break-glass login"
    VIEWED = "viewed"
    SEARCHED = "searched"
    DECIDED = "decided"
    UNDID = "undid a decision"
    ASKED = "asked"
    EXPORTED = "exported"
    IMPORTED = "imported"
    ACCEPTED_REFERENCE = "accepted a reference period"
    ACKNOWLEDGED = "acknowledged an alert"
    CREATED_READER_STUDY = "created a reader study"
    CLOSED_READER_STUDY = "closed a reader study"
    RETRIED = "retried"
    CANCELED = "canceled"
    MADE_URGENT = "made urgent"
    SENT_AGAIN = "sent again"
    READ_AGAIN = "read again"
    RECALLED = "recalled"
    REMOVED_UNDECIDED = "removed undecided images"
    TESTED = "tested a destination"
    PAUSED = "paused a destination"
    RESUMED = "resumed a destination"
    CHANGED_SETTINGS = "changed settings"
    STOPPED_DRAFTING = "stopped drafting"
    STARTED_DRAFTING = "started drafting"
    REQUESTED_CHECK = "requested an end-to-end check"
    CHOSE_MODEL = "chose the model for new studies"
    CHANGED_ACCOUNT = "changed an account"
    CHANGED_ROLES = "changed roles"
    CHANGED_TOKEN = "changed a token"  # noqa: S105 - no password


class AuditOutcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What is to be recorded.

    Attributes:
        action: What was done.
        actor: Who did it, as histories name them: `kim (web page)`, `token monitor`.
        person_id: The id of the person's account; "" for programs and unknown names.
        address: The network address that the request came from; "" for the command line.
        study_uid: Study Instance UID; "" if no study is concerned.
        patient_id: Patient ID of that study, as far as known.
        job_id: The job; "" if none is concerned.
        detail: A few words; no patient attribute.
        claim: The claim of the request on its idempotency key, marked in the same transaction; not part
            of the record.
    """

    action: AuditAction
    actor: str
    outcome: AuditOutcome = AuditOutcome.SUCCESS
    person_id: str = ""
    address: str = ""
    study_uid: str = ""
    patient_id: str = ""
    job_id: str = ""
    detail: str = ""
    claim: RequestClaim | None = None

    def with_detail(self, detail: str) -> "AuditEvent":
        """Return the event with another detail."""
        return replace(self, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """A stored record.

    Attributes:
        id: 1 for the first record, without gaps.
        digest: SHA-256 of the record and the digest before it.
    """

    id: int
    at: datetime
    event: AuditEvent
    previous: str
    digest: str

    def computed_digest(self) -> str:
        """Return the digest that belongs to the record's content."""
        content = [self.previous, self.id, self.at.isoformat(timespec="microseconds")]
        event = self.event
        content += [event.action, event.outcome, event.actor, event.person_id, event.address]
        content += [event.study_uid, event.patient_id, event.job_id, event.detail]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def chained(event: AuditEvent, at: datetime, last: tuple[int, str] | None) -> AuditRecord:
    """Return the record of an event that follows the record with this id and digest."""
    number, previous = last or (0, BEGINNING)
    record = AuditRecord(id=number + 1, at=at, event=event, previous=previous, digest="")
    return replace(record, digest=record.computed_digest())


def first_fault(records: Iterable[AuditRecord], *, after: AuditRecord | None = None) -> str:
    """Return what is wrong with the first record that does not fit its predecessor, or "".

    Args:
        records: All records, or those after one of them, the oldest first.
        after: That one; None for all.
    """
    digest, first = (after.digest, after.id + 1) if after else (BEGINNING, 1)
    for number, record in enumerate(records, start=first):
        if record.id != number:
            return f"record {number} is missing: record {record.id} stands in its place"
        if record.previous != digest:
            return f"record {number} does not follow the record before it: one of them was replaced"
        if record.computed_digest() != record.digest:
            return f"record {number} was changed after it was written"
        digest = record.digest
    return ""


def csv_row(record: AuditRecord) -> list[str]:
    """Return the values of `CSV_COLUMNS`; no spreadsheet takes one for a formula."""
    event = record.event
    values = (
        str(record.id),
        record.at.isoformat(),
        event.action.value,
        event.outcome.value,
        event.actor,
        event.person_id,
        event.address,
        event.study_uid,
        event.patient_id,
        event.job_id,
        event.detail,
        record.digest,
    )
    return [f"'{value}" if value.startswith(_FORMULA) else value for value in values]
