"""Audit records as DICOM Audit Trail messages and syslog frames."""

from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import pytest

from service.audit import AuditAction, AuditEvent, AuditOutcome, AuditRecord
from service.audit_message import KINDS, dicom_xml, syslog_frame


def record(**changes):
    """Return a record of a decision, with changes."""
    values = {
        "action": AuditAction.DECIDED,
        "actor": "kim <web>",
        "study_uid": "1.2.3",
        "patient_id": "P&1",
        "detail": "two\nlines",
    }
    return AuditRecord(
        id=7,
        at=datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC),
        event=AuditEvent(**{**values, **changes}),
        previous="",
        digest="ab",
    )


def message(**changes):
    """Return the parsed message."""
    return fromstring(dicom_xml(record(**changes), "site-a"))  # noqa: S314 - our own


def test_the_message_names_event_person_study_and_patient():
    """PS3.15 A.5: event with its code, participants, objects."""
    root = message()
    event = root.find("EventIdentification")
    assert event.get("EventActionCode") == "C"
    assert event.get("EventDateTime") == "2026-03-01T09:00:00.123+00:00"
    assert event.get("EventOutcomeIndicator") == "0"
    assert event.find("EventID").get("csd-code") == "110103"
    assert event.find("EventOutcomeDescription").text == "decided: two\nlines"
    assert root.find("ActiveParticipant").get("UserID") == "kim <web>"
    objects = [
        each.get("ParticipantObjectID") for each in root.findall("ParticipantObjectIdentification")
    ]
    assert objects == ["1.2.3", "P&1", "7:ab"]


def test_a_refusal_is_a_minor_failure():
    """Without study and patient there is only the record itself."""
    root = message(outcome=AuditOutcome.REFUSED, study_uid="", patient_id="", address="10.0.0.1")
    assert root.find("EventIdentification").get("EventOutcomeIndicator") == "4"
    assert root.find("ActiveParticipant").get("NetworkAccessPointID") == "10.0.0.1"
    assert len(root.findall("ParticipantObjectIdentification")) == 1


@pytest.mark.parametrize("action", list(AuditAction))
def test_every_action_has_a_code(action):
    """A new kind of event is still exported."""
    assert message(action=action).find("EventIdentification/EventID").get("originalText")
    assert KINDS[action].action in "CRUDE"


def test_the_frame_has_its_length_in_front():
    """RFC 5425 4.3: one line, UTF-8 with its mark."""
    frame = syslog_frame(record(actor="Zoë"), "site-a", host="h", process=9)
    length, _, body = frame.partition(b" ")
    assert int(length) == len(body)
    assert body.startswith(
        b"<85>1 2026-03-01T09:00:00.123456Z h wetread 9 DICOM+RFC3881 - \xef\xbb\xbf"
    )
    assert b"\n" not in body
    assert "Zoë".encode() in body
