"""One log line and one report for each association that does not end by a release."""

import logging
from types import SimpleNamespace

import pytest
from pydicom.uid import UID

from dicom.scp.association_reports import AssociationReports
from dicom.scp.refusals import Cause

CR, VERIFICATION = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.1.1"


class Association:
    """The attributes that the reports use: the peer and its presentation contexts."""

    def __init__(self, accepted=(), rejected=()):
        self.requestor = SimpleNamespace(ae_title="CR1 ", address="10.0.0.7")
        self.accepted_contexts = [SimpleNamespace(abstract_syntax=UID(each)) for each in accepted]
        self.rejected_contexts = [
            SimpleNamespace(abstract_syntax=UID(uid), result=result) for uid, result in rejected
        ]


@pytest.fixture
def reports():
    """The reports, and the list of those sent."""
    sent = []
    made = AssociationReports(sent.append)
    made.sent = sent
    return made


def test_an_abort_is_reported_once(reports, caplog):
    """Although its end is recorded afterwards."""
    association = Association()
    reports.aborted(association, Cause.INVALID_PDU, "a PDU of unknown type")
    reports.aborted(association, Cause.INVALID_PDU, "a PDU of unknown type")
    reports.ended(association, Cause.OUT_OF_TURN)
    (sent,) = reports.sent
    assert (sent.cause, sent.calling_ae, sent.address) == (Cause.INVALID_PDU, "CR1", "10.0.0.7")
    assert caplog.text.count("association aborted: CR1 at 10.0.0.7: a PDU of unknown type") == 1


def test_an_end_without_cause_is_no_report(reports):
    """A release is not reported; a rejection was reported earlier."""
    association = Association()
    reports.ended(association, None)
    assert reports.sent == []
    reports.rejected(association, Cause.CALLING_AE)
    reports.ended(association, Cause.OUT_OF_TURN)
    assert [each.cause for each in reports.sent] == [Cause.CALLING_AE]


@pytest.mark.parametrize(("accepted", "level"), [([CR], "DEBUG"), ([VERIFICATION], "WARNING")])
def test_refused_contexts_are_a_warning_where_nothing_can_be_sent(reports, caplog, accepted, level):
    """By cause: the class, or its transfer syntaxes (PS3.8 table 9-18)."""
    rejected = [("1.2.840.10008.5.1.4.1.1.6.1", 3), (CR, 4)]
    with caplog.at_level(logging.DEBUG):
        reports.contexts(Association(accepted, rejected))
    assert [(each.cause, each.sop_class_uid) for each in reports.sent] == [
        (Cause.SOP_CLASS, rejected[0][0]),
        (Cause.TRANSFER_SYNTAX, CR),
    ]
    assert {record.levelname for record in caplog.records} == {level}
    assert "offered Ultrasound Image Storage" in caplog.text


def test_a_report_that_fails_ends_no_association(caplog):
    """The error is logged without its message."""
    patient = "DOE^JOHN"

    def fails(_report):
        raise ValueError(patient)

    AssociationReports(fails).rejected(Association(), Cause.CALLING_AE)
    assert "unexpected ValueError" in caplog.text
    assert "DOE" not in caplog.text
