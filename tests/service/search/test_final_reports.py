"""Final reports whose text is kept are found, and their impression is shown; others are not."""

from dataclasses import replace
from datetime import timedelta

from dicom.content.report import Observation, Presence, Side
from service.final_reports.report import (
    FinalLabels,
    FinalReport,
    FinalSource,
    FinalStatus,
    ReportKeys,
    TakingRules,
)
from service.records.search import TextSource
from service.search import described
from service.search.query import TextQuery
from service.store.final_reports.taking import Reading
from service.study_identity import StudyIdentity

KEPT = TakingRules(late=timedelta(days=30), wait=timedelta(days=30), keep_text=True)
READ = Reading(
    labels=FinalLabels(
        labeler="l1",
        presence={Observation.EDEMA: Presence.PRESENT},
        sides={Observation.EDEMA: Side.BILATERAL},
        words=6,
    )
)
REPORT = FinalReport(
    source=FinalSource.FILE,
    keys=ReportKeys(accession_number="A1"),
    text="Findings: Kerley lines.\nImpression: Bilateral edema.",
)


def found(vectors, text):
    """Return the studies that a text search finds."""
    return vectors.searching.with_text(TextQuery.of(text)).studies


def test_a_kept_report_is_found_until_it_is_withdrawn(vectors):
    """By its findings, on either side, and by its words; its impression stands beside the draft."""
    vectors.draft(1)
    identity = StudyIdentity(study_uid="1.2.1", accession_number="A1")
    vectors.store.record_identity(identity, 1)
    vectors.store.take_final_report(REPORT, KEPT, READ)
    [study] = found(vectors, "left edema")
    assert (study.study_uid, described.impression(study)) == ("1.2.1", "Bilateral edema.")
    assert [each.study_uid for each in found(vectors, "Kerley")] == ["1.2.1"]
    [hit] = vectors.store.search_texts((), ("kerley",), limit=5)
    assert hit.source is TextSource.FINAL_REPORT
    withdrawn = replace(REPORT, status=FinalStatus.WITHDRAWN, text="")
    vectors.store.take_final_report(withdrawn, KEPT)
    assert found(vectors, "Kerley") == []


def test_a_report_that_arrives_after_its_images_were_removed_is_not_found(vectors):
    """Nor after all texts were entered again."""
    vectors.draft(1)
    vectors.store.record_identity(StudyIdentity(study_uid="1.2.1", accession_number="A1"), 1)
    vectors.store.take_final_report(REPORT, KEPT, READ)
    assert len(found(vectors, "Kerley")) == 1
    for image in vectors.store.spooled("1.2.1"):
        vectors.store.mark_instance_removed(image)
    assert vectors.store.index_report_texts() == 1
    assert found(vectors, "Kerley") == []


def test_a_report_whose_text_is_not_kept_is_not_found(vectors):
    """Labels stay for figures; there is no text to search or to show."""
    vectors.draft(1)
    identity = StudyIdentity(study_uid="1.2.1", accession_number="A1")
    vectors.store.record_identity(identity, 1)
    vectors.store.take_final_report(REPORT, replace(KEPT, keep_text=False), READ)
    assert found(vectors, "Kerley") == []
    assert vectors.store.study_report_text("1.2.1") == ""


def test_all_kept_reports_are_entered_again_in_batches(vectors, monkeypatch):
    """Each batch is a transaction of its own, so that Instances are recorded in between."""
    monkeypatch.setattr("service.store.search.texts._BATCH", 2)
    store = vectors.store
    for number in range(1, 6):
        vectors.draft(number)
        keys = ReportKeys(study_uid=f"1.2.{number}")
        store.take_final_report(replace(REPORT, keys=keys), KEPT, READ)
        store.remove_search_texts(f"1.2.{number}")
    assert found(vectors, "Kerley") == []
    assert store.index_report_texts() == 5
    assert len(found(vectors, "Kerley")) == 5
