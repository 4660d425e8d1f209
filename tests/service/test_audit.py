"""The chain of the audit trail, and its messages for syslog."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from service.audit import AuditAction, AuditEvent, AuditOutcome, chained, first_fault
from service.audit_message import KINDS, dicom_xml, syslog_frame

AT = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
EVENT = AuditEvent(
    action=AuditAction.VIEWED,
    actor="kim (web page)",
    person_id="p" * 32,
    address="10.0.0.5",
    study_uid="1.2.3",
    patient_id="PAT-<1>",
    job_id="j" * 32,
    detail="a & b",
)


@pytest.fixture
def trail():
    """Five records."""
    records, last = [], None
    for number in range(5):
        record = chained(replace(EVENT, detail=f"{number}"), AT + timedelta(seconds=number), last)
        records.append(record)
        last = (record.id, record.digest)
    return records


def test_a_whole_trail_has_no_fault(trail):
    """As it was written."""
    assert first_fault(trail) == ""
    assert first_fault([]) == ""


@pytest.mark.parametrize("field", ["actor", "study_uid", "patient_id", "outcome", "detail"])
def test_a_changed_record_is_found(trail, field):
    """For any change, also with a recomputed digest."""
    other = {"outcome": AuditOutcome.REFUSED}.get(field, "other")
    trail[2] = replace(trail[2], event=replace(trail[2].event, **{field: other}))
    assert first_fault(trail) == "record 3 was changed after it was written"
    trail[2] = replace(trail[2], digest=trail[2].computed_digest())
    assert first_fault(trail).startswith("record 4 does not follow")


def test_a_removed_and_a_moved_record_are_found(trail):
    """In the middle and at the beginning."""
    assert first_fault(trail[:2] + trail[3:]).startswith("record 3 is missing")
    assert first_fault(trail[1:]).startswith("record 1 is missing")
    assert first_fault([trail[0], replace(trail[2], id=2)]).startswith("record 2 does not follow")


def test_the_message_is_that_of_the_standard(trail):
    """Event, participant, study and patient as PS3.15 A.5 has them; every text is escaped."""
    record = replace(trail[0], event=EVENT)
    message = ET.fromstring(dicom_xml(record, "Klinikum Süd"))  # noqa: S314 - our own
    event = message.find("EventIdentification")
    assert event.get("EventActionCode") == "R"
    assert event.get("EventOutcomeIndicator") == "0"
    assert event.get("EventDateTime") == "2026-11-30T12:00:00.123+00:00"
    assert dict(event.find("EventID").items()) == {
        "csd-code": "110103",
        "codeSystemName": "DCM",
        "originalText": "DICOM Instances Accessed",
    }
    person = message.find("ActiveParticipant")
    assert person.get("UserID") == "kim (web page)"
    assert person.get("NetworkAccessPointID") == "10.0.0.5"
    source = message.find("AuditSourceIdentification")
    assert source.get("AuditSourceID") == "Klinikum Süd"
    ids = [
        each.get("ParticipantObjectID") for each in message.iter("ParticipantObjectIdentification")
    ]
    assert ids[:2] == ["1.2.3", "PAT-<1>"]
    assert ids[2] == f"1:{record.digest}"


@pytest.mark.parametrize("action", list(AuditAction))
def test_each_action_has_a_message(trail, action):
    """A login that was refused states it."""
    event = replace(EVENT, action=action, outcome=AuditOutcome.REFUSED)
    message = ET.fromstring(dicom_xml(replace(trail[0], event=event), "here"))  # noqa: S314 - our own
    found = message.find("EventIdentification")
    assert found.get("EventOutcomeIndicator") == "4"
    assert found.find("EventID").get("csd-code") == KINDS[action].event.value


def test_the_frame_counts_its_bytes(trail):
    """RFC 5425: the length in bytes, a space, the message of RFC 5424."""
    frame = syslog_frame(replace(trail[0], event=EVENT), "Süd", host="edge", process=7)
    length, _, message = frame.partition(b" ")
    assert int(length) == len(message)
    header = b"<85>1 2026-11-30T12:00:00.123456Z edge wetread 7 DICOM+RFC3881 - \xef\xbb\xbf<?xml"
    assert message.startswith(header)
