"""Final reports in the database: taken once, matched, superseded, withdrawn, without identity."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from dicom.content.report import Observation, Presence
from service.final_reports.report import (
    FinalLabels,
    FinalReport,
    FinalSource,
    FinalState,
    FinalStatus,
    ReportKeys,
    TakingRules,
)
from service.store.final_reports.taking import Reading
from service.study_identity import StudyIdentity

RULES = TakingRules(late=timedelta(days=30), wait=timedelta(days=30), keep_text=False)
LABELS = FinalLabels(
    labeler="l1", presence={Observation.EDEMA: Presence.PRESENT}, sides={}, words=4
)
READ = Reading(labels=LABELS, changed_share=0.25, kept_share=0.5)


def report(accession="A1", words="Edema.", **changes):
    """Return a final report."""
    values = {
        "source": FinalSource.FILE,
        "keys": ReportKeys(accession_number=accession),
        "text": words,
    }
    return FinalReport(**{**values, **changes})


@pytest.fixture
def drafted(store, reviewing):
    """Return the drafted job of the study with accession number A1."""
    job = reviewing.drafted(store)
    store.record_identity(
        StudyIdentity(study_uid="1.2.3", accession_number="A1", patient_id="P1"), 1
    )
    return job


def rows(store, *columns):
    """Return all rows of the table, or these columns of them."""
    with store._reading() as session:
        found = session.execute(text("SELECT * FROM final_reports ORDER BY id"))
        every = [dict(row._mapping) for row in found]
    return [{name: row[name] for name in columns or row} for row in every]


def test_a_report_is_matched_labeled_and_kept_without_text_and_keys(store, drafted):
    """The row names the draft; no patient attribute and no text is kept."""
    assert store.take_final_report(report(), RULES, READ).state is FinalState.MATCHED
    (found,) = store.final_reports()
    assert (found.study_uid, found.job_id) == ("1.2.3", drafted.id)
    assert found.labels == LABELS
    assert (found.changed_share, found.kept_share, found.has_text) == (0.25, 0.5, False)
    assert "A1" not in str(rows(store))
    assert "Edema." not in str(rows(store))


@pytest.mark.usefixtures("drafted")
def test_the_same_report_twice_is_one_row(store):
    """Also by another way."""
    store.take_final_report(report(), RULES, READ)
    again = store.take_final_report(report(source=FinalSource.API), RULES)
    assert (again.is_new, again.state) == (False, FinalState.MATCHED)
    assert len(rows(store)) == 1


@pytest.mark.usefixtures("drafted")
def test_a_corrected_report_replaces_the_earlier_one(store):
    """The one that was reported later applies, also if it arrives first."""
    at = datetime(2026, 11, 30, 8, tzinfo=UTC)
    store.take_final_report(report(words="second", reported_at=at), RULES, READ)
    earlier = report(words="first", reported_at=at - timedelta(hours=1))
    assert store.take_final_report(earlier, RULES, READ).state is FinalState.SUPERSEDED
    later = report(words="third", reported_at=at + timedelta(hours=1))
    assert store.take_final_report(later, RULES, READ).state is FinalState.MATCHED
    assert [row["state"] for row in rows(store)] == ["superseded", "superseded", "matched"]


@pytest.mark.usefixtures("drafted")
def test_a_withdrawn_report_stands_no_more(store):
    """Neither by its study nor, for an unmatched one, by its own identifier."""
    store.take_final_report(report(), RULES, READ)
    unmatched = report(accession="B", report_id="R7")
    store.take_final_report(unmatched, RULES, READ)
    for each in (report(), unmatched):
        store.take_final_report(replace(each, status=FinalStatus.WITHDRAWN, text=""), RULES)
    assert {row["state"] for row in rows(store)} == {"withdrawn"}
    assert "B" not in {row["accession_number"] for row in rows(store, "accession_number")}
    # The same file is imported once more: the report stays withdrawn.
    assert store.take_final_report(report(), RULES, READ).state is FinalState.WITHDRAWN


def test_a_report_that_is_early_waits_for_study_and_draft(store, reviewing):
    """Unmatched, then no draft, then matched; the sweeper checks each minute."""
    store.take_final_report(report(), RULES, READ)
    assert store.final_report_counts() == {FinalState.UNMATCHED: 1}
    assert store.match_waiting_reports(RULES) == 0
    job = reviewing.drafted(store)
    store.record_identity(StudyIdentity(study_uid="1.2.3", accession_number="A1"), 1)
    assert store.match_waiting_reports(RULES) == 1
    (found,) = store.final_reports()
    assert (found.state, found.job_id) == (FinalState.MATCHED, job.id)
    assert store.match_waiting_reports(RULES) == 0


def test_keys_of_a_report_that_waited_too_long_are_removed(store):
    """The row stays unmatched, without accession number."""
    store.take_final_report(report(), RULES, READ)
    store._clock = lambda: datetime.now(UTC) + timedelta(days=31)
    assert store.match_waiting_reports(RULES) == 1
    assert rows(store, "state", "accession_number", "closed") == [
        {"state": "unmatched", "accession_number": "", "closed": 1}
    ]


@pytest.mark.usefixtures("drafted")
def test_a_late_report_is_matched_as_late(store):
    """31 days after the draft."""
    store._clock = lambda: datetime.now(UTC) + timedelta(days=31)
    assert store.take_final_report(report(), RULES, READ).state is FinalState.LATE


@pytest.mark.usefixtures("drafted")
def test_a_text_that_waits_for_the_labeler(store):
    """It is kept until then, and removed by the label; with keep_text until the images go."""
    store.take_final_report(report(source=FinalSource.API), RULES)
    ((number, keys, words),) = store.unlabeled_final_reports()
    assert (keys.accession_number, words) == ("A1", "Edema.")
    keeping = replace(RULES, keep_text=True)
    store.label_final_report(number, READ, keeping)
    (found,) = store.final_reports()
    assert (found.state, found.has_text, found.labels) == (FinalState.MATCHED, True, LABELS)
    store.forget_report_texts("1.2.3")
    assert not store.final_reports()[0].has_text


@pytest.mark.usefixtures("drafted")
def test_of_a_study_whose_images_were_removed_no_text_is_kept(store):
    """Nothing would remove it later; so is that of a report for which no study came in time."""
    keeping = replace(RULES, keep_text=True)
    for image in store.spooled("1.2.3"):
        store.mark_instance_removed(image)
    assert store.take_final_report(report(), keeping, READ).state is FinalState.MATCHED
    assert not store.final_reports()[0].has_text
    assert store.take_final_report(
        report(keys=ReportKeys(accession_number="B2")), keeping, READ
    ).is_new
    store._clock = lambda: datetime.now(UTC) + keeping.wait + timedelta(hours=1)
    store.match_waiting_reports(keeping)
    assert [each.has_text for each in store.final_reports()] == [False, False]


def test_a_report_on_a_superseded_draft_is_of_the_one_that_stands(store, reviewing):
    """Two revisions: the newer; a withdrawn draft counts as none."""
    reviewing.drafted(store, number=1)
    newer = reviewing.drafted(store, number=2)
    keys = ReportKeys(study_uid="1.2.3")
    store.take_final_report(report(keys=keys), RULES, READ)
    assert store.final_reports()[0].job_id == newer.id


@pytest.mark.usefixtures("drafted")
def test_a_withdrawal_ends_a_report_that_the_labeler_has_not_read(store):
    """Its text is removed, and labeling it later changes nothing."""
    store.take_final_report(report(report_id="R1"), RULES)
    ((number, _, _),) = store.unlabeled_final_reports()
    ends = report(report_id="R1", status=FinalStatus.WITHDRAWN, text="")
    store.take_final_report(ends, RULES)
    store.label_final_report(number, READ, RULES)
    assert rows(store, "state", "text") == [{"state": "withdrawn", "text": None}] * 2


@pytest.mark.usefixtures("drafted")
def test_reports_are_labeled_in_any_order(store):
    """Two workers label at once: of two without a time the one that arrived later stands."""
    store.take_final_report(report(words="first"), RULES)
    store.take_final_report(report(words="second"), RULES)
    for number, _, _ in reversed(store.unlabeled_final_reports()):
        store.label_final_report(number, READ, RULES)
    assert [row["state"] for row in rows(store)] == ["superseded", "matched"]


def of_patient(accession, patient, **changes):
    """Return a report whose patient is known."""
    return report(keys=ReportKeys(accession_number=accession, patient_id=patient), **changes)


def test_reports_of_two_patients_with_one_accession_number_wait_both(store):
    """Two sites count from 1, and neither study is here yet; one without a patient replaces both."""
    for patient in ("P1", "P2"):
        store.take_final_report(of_patient("Z", patient, words=patient), RULES, READ)
    assert store.final_report_counts() == {FinalState.UNMATCHED: 2}
    store.take_final_report(of_patient("Z", "P2", words="corrected"), RULES, READ)
    assert [row["state"] for row in rows(store)] == ["unmatched", "superseded", "unmatched"]


def test_a_withdrawal_that_finds_the_study_ends_a_report_that_still_waits(store, reviewing):
    """The report came before the study, the withdrawal after it; the report has no identifier."""
    store.take_final_report(report(), RULES, READ)
    reviewing.drafted(store)
    store.record_identity(StudyIdentity(study_uid="1.2.3", accession_number="A1"), 1)
    store.take_final_report(report(words="", status=FinalStatus.WITHDRAWN), RULES)
    assert store.match_waiting_reports(RULES) == 0
    assert [row["state"] for row in rows(store)] == ["withdrawn", "withdrawn"]


def message_of(number, words="Edema.", **changes):
    """Return a report of an HL7 message."""
    return report(words=words, source=FinalSource.HL7, message_id=number, **changes)


@pytest.mark.usefixtures("drafted")
def test_a_report_that_applies_again_stands_again(store):
    """After its withdrawal, and after a correction that is taken back; all sent again end equally."""
    ends = message_of("2", "", status=FinalStatus.WITHDRAWN)
    sequence = [message_of("1"), ends, message_of("3"), message_of("4", "None."), message_of("5")]
    for round_number in range(3):
        states = [store.take_final_report(each, RULES, READ).state for each in sequence]
        assert states[-1] is FinalState.MATCHED, round_number
        standing = [row["state"] for row in rows(store)]
        assert (standing.count("matched"), standing[-1]) == (1, "matched")
    # The answer to the last one was lost.
    assert not store.take_final_report(sequence[-1], RULES, READ).is_new
    assert store.take_final_report(ends, RULES).is_new
    assert "matched" not in {row["state"] for row in rows(store)}


@pytest.mark.usefixtures("drafted")
def test_of_reports_with_a_time_a_repeated_one_changes_nothing(store):
    """The reporting system's time says which is the later one."""
    at = datetime(2026, 11, 30, 8, tzinfo=UTC)
    first = message_of("1", reported_at=at)
    store.take_final_report(first, RULES, READ)
    store.take_final_report(message_of("2", "None.", reported_at=at.replace(hour=9)), RULES, READ)
    assert not store.take_final_report(first, RULES, READ).is_new
    assert [row["state"] for row in rows(store)] == ["superseded", "matched"]
