"""Final reports of ORU^R01 messages: which orders are used, their keys and their text."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from service.final_reports.hl7_message import Hl7Fault
from service.final_reports.oru import DEFAULT_ACCESSION, read_oru
from service.final_reports.report import FinalSource, FinalStatus
from tests.hl7_messages import header, line, message, order, patient, simple, thousand


def only(*segments, **settings):
    """Return the one report of a message."""
    (found,) = read_oru(message(*segments), **settings).reports
    return found


def test_a_report_with_its_keys():
    """Accession, patient with issuer, day, identifier, time and text."""
    found = only(
        header(),
        patient(),
        order(filler="F7^RIS", finished="20261130101500+0100"),
        line("Mild edema."),
    )
    keys = found.keys
    assert (keys.accession_number, keys.patient_id, keys.issuer) == ("A1", "P1", "HOSP")
    assert (keys.study_date, found.report_id) == ("20261130", "F7^RIS")
    assert found.reported_at == datetime(2026, 11, 30, 9, 15, tzinfo=UTC)
    assert (found.source, found.status) == (FinalSource.HL7, FinalStatus.FINAL)
    assert found.text == "FINDINGS:\nMild edema."


@pytest.mark.parametrize("place", [18, 3, 2])
def test_the_accession_number_is_searched_in_this_order(place):
    """OBR-18, OBR-3, OBR-2, ORC-3; a setting names other fields."""
    sent = (header(), "ORC|RE||C9^RIS", order("A1^RIS", place=place), line("Clear."))
    assert only(*sent).keys.accession_number == "A1"
    assert only(header(), "ORC|RE||C9^RIS", order(""), line("Clear.")).keys.accession_number == "C9"
    found = only(*sent, accession_fields=("ORC-3.2", *DEFAULT_ACCESSION))
    assert found.keys.accession_number == "RIS"


@pytest.mark.parametrize(
    ("obr", "obx", "becomes"),
    [
        ("F", "F", "final"),
        ("C", "C", "final"),
        ("A", "A", "final"),
        ("F", "", "final"),
        ("", "F", "final"),
        ("F", "P", "preliminary"),
        ("P", "F", "preliminary"),
        ("", "P", "preliminary"),
        ("R", "R", "preliminary"),
        ("I", "", "preliminary"),
        ("X", "X", "withdrawn"),
        ("X", "F", "withdrawn"),
        ("F", "W", "withdrawn"),
        ("", "W", "withdrawn"),
        ("F", "D", "withdrawn"),
    ],
)
def test_status(obr, obx, becomes):
    """Of OBR-25 and OBX-11: the lesser one decides."""
    found = read_oru(message(header(), order(status=obr), line("Edema.", status=obx)))
    assert found.preliminary == int(becomes == "preliminary")
    assert [each.status.value for each in found.reports] == [becomes] * (1 - found.preliminary)


def test_a_withdrawn_line_of_a_corrected_report_is_left_out():
    """The other lines are its text; a preliminary line neither."""
    found = only(
        header(),
        order(status="C"),
        line("Edema.", status="W"),
        line("Effusion.", status="C"),
        line("Nodule?", status="P"),
    )
    assert found.text == "FINDINGS:\nEffusion."


def test_the_text_has_sections_and_no_wrapped_sentences():
    """History and technique are left out; each repetition is a line, a wrapped one is joined."""
    found = only(
        header(),
        order(),
        line("Known edema.", code="11329-0^History^LN"),
        line("There is no", code="59776-5^Findings^LN"),
        line("pneumothorax.~Heart normal.", code="59776-5^Findings^LN"),
        line("Clear \\T\\ stable.", code="71020&IMP^Chest", kind="ST"),
    )
    assert found.text == (
        "FINDINGS:\nThere is no pneumothorax.\nHeart normal.\nIMPRESSION:\nClear & stable."
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("ED", "^application^pdf^Base64^JVBERi0xLjQ="),
        ("RP", "\\\\server\\report"),
        ("TX", "{\\E\\rtf1 text}"),
        ("FT", "JVBERi0xLjQ="),
        ("", "text"),
    ],
)
def test_documents_are_counted_and_not_read(kind, value):
    """A final order with nothing else has no text; beside a text they change nothing."""
    found = read_oru(message(header(), order(), line(value, kind=kind)))
    assert (found.reports, found.without_text) == ((), 1)
    assert found.not_read == {kind or "none": 1}
    assert only(header(), order(), line(value, kind=kind), line("Clear.")).text.endswith("Clear.")


def test_orders_of_one_study_are_one_report():
    """Two studies are two; of one study a withdrawn order beside a final one changes nothing."""
    two = read_oru(
        message(header(), order("A"), line("Edema."), order("B"), line("Clear."))
    ).reports
    assert [(each.keys.accession_number, each.text.split()[-1]) for each in two] == [
        ("A", "Edema."),
        ("B", "Clear."),
    ]
    one = only(header(), order(), line("Edema."), order(), line("Nodule."), order(status="X"))
    assert (one.text.count("Edema."), one.text.count("Nodule.")) == (1, 1)


def test_a_message_with_two_patients():
    """Each order has the PID before it."""
    found = read_oru(
        message(
            header(), patient("P1"), order("A"), line("x."), patient("P2"), order("B"), line("y.")
        )
    )
    assert [each.keys.patient_id for each in found.reports] == ["P1", "P2"]


@pytest.mark.parametrize(
    "segment",
    ["ZDS|1.2.3^RIS^Application^DICOM", "OBX|9|ST|113014^DICOM Study^DCM||1.2.3||||||O"],
)
def test_the_study_uid(segment):
    """In ZDS-1 or as an observation, which is no line of text."""
    found = only(header(), patient(), order(""), line("Clear."), segment)
    assert (found.keys.study_uid, found.text) == ("1.2.3", "FINDINGS:\nClear.")


@pytest.mark.parametrize(
    ("identifiers", "chosen"),
    [("9^^^NATION^NI~7^^^HOSP^PI", ("7", "HOSP")), ("5", ("5", "")), ("5^^^A&1.2&ISO", ("5", "A"))],
)
def test_the_patient_id(identifiers, chosen):
    """That of a medical record, else the first."""
    found = only(header(), f"PID|1||{identifiers}||X", order(), line("Clear."))
    assert (found.keys.patient_id, found.keys.issuer) == chosen


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (message(header(kind="ORM^O01"), order()), "MSH-9"),
        (message(header(""), order()), "MSH-10"),
        (message(header(), patient()), "OBR"),
        (message(header(), order(status=""), line("x", status="")), "OBR-25"),
        (message(header(), order(""), line("x")), "OBR-18, OBR-3, OBR-2, ORC-3"),
        (message(header(), order("A" * 65), line("x")), "OBR-18"),
        (message(header(), order(""), line("x"), "ZDS|secret"), "ZDS-1"),
        (message(header(), order(), line("x" * 70_000)), "OBX-5"),
    ],
)
def test_a_message_that_cannot_be_used_names_the_field(content, where):
    """And no value."""
    with pytest.raises(Hl7Fault) as fault:
        read_oru(content)
    assert fault.value.where == where
    assert "secret" not in str(fault.value)


def test_a_repeated_message_is_the_same_report_and_a_later_withdrawal_another():
    """A digest of final reports is of their content; withdrawals differ by MSH-10."""
    first, again = (read_oru(simple(number)).reports[0].digest for number in ("1", "2"))
    assert first == again
    ends = {
        read_oru(message(header(number), order(status="X"))).reports[0].digest
        for number in ("1", "2", "2")
    }
    assert len(ends) == 2


def test_the_identifier_of_a_report_is_that_of_its_sender():
    """Two systems number their orders from 1; one that names its assigner does not need the sender."""

    def identifier(filler, sender="RIS"):
        segments = (
            header().replace("|RIS|", f"|{sender}|"),
            patient(),
            order(filler=filler),
            line("A."),
        )
        return only(*segments).report_id

    assert identifier("7") == identifier("7") != identifier("7", "OTHER")
    assert identifier("7^RIS1") == identifier("7^RIS1", "OTHER") == "7^RIS1"
    assert identifier("", "OTHER") == ""


def test_a_thousand_messages_amount_to_the_known_totals():
    """Counted by hand in `thousand`."""
    traffic, totals = thousand(), Counter()
    for content in traffic.messages:
        found = read_oru(content)
        totals.update(each.status.value for each in found.reports)
        totals.update(
            preliminary=found.preliminary,
            without_text=found.without_text,
            not_read=sum(found.not_read.values()),
        )
    assert (len(traffic.messages), totals) == (1000, traffic.totals)
