"""The audit trail of a period as JSON Lines, in a chain of its own that anyone can verify.

The records of the trail name patients: an exported line has keyed digests in their place, and the
digests of the record, by which the site can compare each line with its database. As a record's digest
covers the patient ID, the line has a digest of its own over what is exported.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from service.audit import AuditAction, AuditOutcome, AuditRecord, first_fault
from service.quality.document import Document, DocumentKind, Facts, Section, Table, not_recorded
from service.quality.inputs import Inputs
from service.quality.log_records import audit_of
from service.quality.verify_log import BEGINNING, digest_of

LOG_FILE: Final = "audit-log.jsonl"
VERIFIER_FILE: Final = "verify_log.py"
# Actions whose detail is made by the program; that of the others may hold what a person typed.
_MACHINE_MADE: Final = frozenset(
    {
        AuditAction.ACCEPTED_REFERENCE,
        AuditAction.ACKNOWLEDGED,
        AuditAction.ASKED,
        AuditAction.CHANGED_SETTINGS,
        AuditAction.CHOSE_MODEL,
        AuditAction.IMPORTED,
        AuditAction.RESUMED,
        AuditAction.SEARCHED,
        AuditAction.TESTED,
    }
)


@dataclass(slots=True)
class LogSummary:
    """What the exported lines add up to; filled while they are made."""

    count: int = 0
    digest: str = BEGINNING
    first: AuditRecord | None = None
    last: AuditRecord | None = None

    def add(self, record: AuditRecord, digest: str) -> None:
        """Add a record and the digest of its line."""
        self.first = self.first or record
        self.count, self.digest, self.last = self.count + 1, digest, record


def log_lines(inputs: Inputs, summary: LogSummary) -> Iterator[str]:
    """Yield the lines of the log, each with its line feed; `summary` holds what was yielded.

    Raises:
        StoreError: The database cannot be used.
    """
    for record in audit_of(inputs.store, inputs.period):
        line = _line(inputs, record, summary)
        summary.add(record, line["digest"])
        yield json.dumps(line, sort_keys=True, ensure_ascii=True) + "\n"


def _line(inputs: Inputs, record: AuditRecord, before: LogSummary) -> dict[str, Any]:
    event, hidden = record.event, inputs.pseudonyms.of
    # The name of a refused login is whatever was typed: perhaps a password, or a patient's name.
    is_known = event.person_id or event.outcome is AuditOutcome.SUCCESS
    shown = event.action in _MACHINE_MADE or inputs.with_notes
    line: dict[str, Any] = {
        "line": before.count + 1,
        "previous": before.digest,
        "record": record.id,
        "at": record.at.isoformat(timespec="microseconds"),
        "action": event.action.value,
        "outcome": event.outcome.value,
        "actor": event.actor if is_known else hidden(event.actor),
        "person_id": event.person_id,
        "address": event.address,
        "study": hidden(event.study_uid),
        "patient": hidden(event.patient_id),
        "job_id": event.job_id,
        "detail": event.detail if shown else hidden(event.detail),
        "record_previous": record.previous,
        "record_digest": record.digest,
    }
    return line | {"digest": digest_of(line)}


def audit_log(inputs: Inputs, summary: LogSummary) -> Document:
    """Return the document about the exported log: what it holds, and the result of the verification.

    Raises:
        StoreError: The database cannot be used.
    """
    facts = Facts()
    facts.add("Records", str(summary.count))
    facts.add("First record", _record(summary.first), missing="records of the period")
    facts.add("Last record", _record(summary.last), missing="records of the period")
    facts.add("Digest of the last line", summary.digest if summary.count else "",
              missing="lines of the log")  # fmt: skip
    facts.add("Audit trail in the database", _verification(inputs, summary))
    return Document(
        kind=DocumentKind.AUDIT_LOG,
        name=DocumentKind.AUDIT_LOG.value,
        title="Export of the audit log",
        facts=(("Period", inputs.period.words), ("File", LOG_FILE)),
        sections=(
            Section(title="Content and verification", facts=facts.all()),
            Section(
                title="How to verify the file",
                sentences=(
                    (
                        f"Anyone can verify it, with Python alone: python3 {VERIFIER_FILE} "
                        f"{LOG_FILE}. The number of lines and the last digest that it prints must "
                        "be those above; note them elsewhere, since a person who can replace the "
                        "file can replace this document too."
                    ),
                    (
                        "The site compares a line with its database by `record` and "
                        "`record_digest`: `wetread audit export --csv` prints both."
                    ),
                ),
            ),
            _columns(),
        ),
        values={
            "records": summary.count,
            "first_record": summary.first.id if summary.first else None,
            "last_record": summary.last.id if summary.last else None,
            "last_line_digest": summary.digest,
            "last_record_digest": summary.last.digest if summary.last else None,
        },
    )


def _record(record: AuditRecord | None) -> str:
    return f"number {record.id}, {record.at.isoformat(timespec='seconds')}" if record else ""


def _verification(inputs: Inputs, summary: LogSummary) -> str:
    """Verify the chain in the database from its beginning to the last record of the period."""
    if summary.last is None:
        return not_recorded("records of the period, so nothing was verified")
    fault = first_fault(_until(inputs.store.whole_audit(), summary.last.id))
    if fault:
        return f"BROKEN: {fault}"
    return (
        f"verified from record 1 to record {summary.last.id}: none was changed, removed or inserted"
    )


def _until(records: Iterable[AuditRecord], last: int) -> Iterator[AuditRecord]:
    for record in records:
        if record.id > last:
            return
        yield record


def _columns() -> Section:
    return Section(
        title="What a line holds",
        tables=(
            Table(
                ("Key", "Meaning"),
                (
                    ("line, previous, digest", ("number of the line; digest of the line before; digest "
                     "of this line")),
                    ("record, record_previous, record_digest", ("number and digests of the record in "
                     "the audit trail")),
                    ("at, action, outcome", "when, what was done, and whether it was refused"),
                    ("actor, person_id, address", ("who did it, from where; the name typed at a refused "
                     "login is a keyed digest")),
                    ("study, patient", ("keyed digests (HMAC-SHA256, key of this site): equal values "
                     "are of one study or patient")),
                    ("job_id", "the job; the site's pages show its study, model and result"),
                    ("detail", ("as recorded, where the program made it; a keyed digest, beginning with "
                     "#, where a person may have typed it")),
                ),
            ),
        ),
    )  # fmt: skip
