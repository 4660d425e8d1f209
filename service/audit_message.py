"""Audit records as DICOM Audit Trail messages (PS3.15 A.5) in syslog frames (RFC 5424, RFC 5425)."""

from dataclasses import dataclass
from datetime import UTC
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from service.audit import AuditAction, AuditOutcome, AuditRecord

_DCM: Final = "DCM"
# Facility 10 (security), severity 5 (notice).
_PRIORITY: Final = 10 * 8 + 5
_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>'
_MESSAGE_ID: Final = "DICOM+RFC3881"


@dataclass(frozen=True, slots=True)
class _Code:
    """A code with its meaning (PS3.16 CID 400, CID 401, CID 402)."""

    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an action is reported: event, its type, and the event action (C, R, U, D or E)."""

    event: _Code
    action: str
    type: _Code | None = None


_ACTIVITY: Final = _Code("110100", "Application Activity")
_ACCESSED: Final = _Code("110103", "DICOM Instances Accessed")
_EXPORT: Final = _Code("110106", "Export")
_IMPORT: Final = _Code("110107", "Import")
_QUERY: Final = _Code("110112", "Query")
_ALERT: Final = _Code("110113", "Security Alert")
_AUTHENTICATION: Final = _Code("110114", "User Authentication")
_LOGIN: Final = _Code("110122", "Login")
_LOGOUT: Final = _Code("110123", "Logout")
_OVERRIDE: Final = _Code("110127", "Emergency Override Started")
_SETTINGS: Final = _Code("110131", "Software Configuration")
_RESTRICTED: Final = _Code("110132", "Use of Restricted Function")
_ROLES: Final = _Code("110136", "Security Roles Changed")
_ACCOUNT: Final = _Code("110137", "User Security Attributes Changed")

KINDS: Final[dict[AuditAction, _Kind]] = {
    AuditAction.LOGIN: _Kind(_AUTHENTICATION, "E", _LOGIN),
    AuditAction.LOGOUT: _Kind(_AUTHENTICATION, "E", _LOGOUT),
    AuditAction.BREAK_GLASS: _Kind(_ALERT, "E", _OVERRIDE),
    AuditAction.VIEWED: _Kind(_ACCESSED, "R"),
    AuditAction.SEARCHED: _Kind(_QUERY, "E"),
    AuditAction.DECIDED: _Kind(_ACCESSED, "C"),
    AuditAction.UNDID: _Kind(_ACCESSED, "U"),
    AuditAction.ASKED: _Kind(_ACCESSED, "R"),
    AuditAction.EXPORTED: _Kind(_EXPORT, "R"),
    AuditAction.IMPORTED: _Kind(_IMPORT, "C"),
    AuditAction.ACCEPTED_REFERENCE: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.ACKNOWLEDGED: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.CREATED_READER_STUDY: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.CLOSED_READER_STUDY: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.RETRIED: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.CANCELED: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.MADE_URGENT: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.SENT_AGAIN: _Kind(_EXPORT, "R"),
    AuditAction.READ_AGAIN: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.REMOVED_UNDECIDED: _Kind(_ACCESSED, "D"),
    AuditAction.RECALLED: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.TESTED: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.PAUSED: _Kind(_ALERT, "E", _SETTINGS),
    AuditAction.RESUMED: _Kind(_ALERT, "E", _SETTINGS),
    AuditAction.CHANGED_SETTINGS: _Kind(_ALERT, "E", _SETTINGS),
    AuditAction.STOPPED_DRAFTING: _Kind(_ALERT, "E", _SETTINGS),
    AuditAction.STARTED_DRAFTING: _Kind(_ALERT, "E", _SETTINGS),
    AuditAction.REQUESTED_CHECK: _Kind(_ALERT, "E", _RESTRICTED),
    AuditAction.CHOSE_MODEL: _Kind(_ALERT, "E", _SETTINGS),
    AuditAction.CHANGED_ACCOUNT: _Kind(_ALERT, "E", _ACCOUNT),
    AuditAction.CHANGED_ROLES: _Kind(_ALERT, "E", _ROLES),
    AuditAction.CHANGED_TOKEN: _Kind(_ALERT, "E", _ACCOUNT),
}


def dicom_xml(record: AuditRecord, source: str) -> bytes:
    """Return the DICOM Audit Trail message of a record, UTF-8.

    Args:
        record: The record.
        source: The name of this service at the site, as audit source id.
    """
    message = Element("AuditMessage")
    kind, event = KINDS[record.event.action], record.event
    identification = SubElement(
        message,
        "EventIdentification",
        EventActionCode=kind.action,
        EventDateTime=record.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator="0" if event.outcome is AuditOutcome.SUCCESS else "4",
    )
    _code(identification, "EventID", kind.event)
    if kind.type is not None:
        _code(identification, "EventTypeCode", kind.type)
    outcome = f"{event.action}: {event.detail}" if event.detail else event.action.value
    SubElement(identification, "EventOutcomeDescription").text = outcome
    _participants(message, record)
    audit_source = SubElement(message, "AuditSourceIdentification", AuditSourceID=source)
    source_type = SubElement(audit_source, "AuditSourceTypeCode")
    source_type.set("csd-code", "4")  # application server process (RFC 3881 5.4.2)
    _objects(message, record)
    # One line: syslog servers replace a line feed.
    text: str = tostring(message, encoding="unicode")
    return _DECLARATION + text.replace("\n", "&#10;").encode()


def syslog_frame(record: AuditRecord, source: str, *, host: str, process: int) -> bytes:
    """Return the message in a syslog frame with its length in front (RFC 5424 6, RFC 5425 4.3)."""
    at = record.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    header = f"<{_PRIORITY}>1 {at} {host} wetread {process} {_MESSAGE_ID} - "
    # A byte order mark says that the message is UTF-8 (RFC 5424 6.4).
    body = header.encode("ascii", "replace") + b"\xef\xbb\xbf" + dicom_xml(record, source)
    return b"%d %s" % (len(body), body)


def _participants(message: Element, record: AuditRecord) -> None:
    event = record.event
    person = SubElement(message, "ActiveParticipant", UserID=event.actor, UserIsRequestor="true")
    if event.person_id:
        person.set("AlternativeUserID", event.person_id)
    if event.address:
        person.set("NetworkAccessPointID", event.address)
        person.set("NetworkAccessPointTypeCode", "2")  # an IP address


def _objects(message: Element, record: AuditRecord) -> None:
    event = record.event
    if event.study_uid:
        study = _object(message, event.study_uid, kind="2", role="3")
        _code(study, "ParticipantObjectIDTypeCode", _Code("110180", "Study Instance UID"))
        SubElement(study, "ParticipantObjectName").text = event.study_uid
    if event.patient_id:
        patient = _object(message, event.patient_id, kind="1", role="1")
        _code(patient, "ParticipantObjectIDTypeCode", _Code("2", "Patient Number"), "RFC-3881")
        SubElement(patient, "ParticipantObjectName").text = event.patient_id
    number = _object(message, f"{record.id}:{record.digest}", kind="2", role="13")
    _code(number, "ParticipantObjectIDTypeCode", _Code("12", "URI"), "RFC-3881")
    SubElement(number, "ParticipantObjectName").text = "audit record and digest of its chain"


def _object(message: Element, identifier: str, *, kind: str, role: str) -> Element:
    return SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier,
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )


def _code(parent: Element, name: str, code: _Code, system: str = _DCM) -> None:
    element = SubElement(parent, name)
    element.set("csd-code", code.value)
    element.set("codeSystemName", system)
    element.set("originalText", code.meaning)
