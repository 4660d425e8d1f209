"""Which of the newest matching texts are ranked: those that stand and that the person may see."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dicom.content.report import Finding, Observation, Presence
from service.final_reports.report import (
    FinalLabels,
    FinalReport,
    FinalSource,
    ReportKeys,
    TakingRules,
)
from service.records.search import TextSource, WantedFinding
from service.store.final_reports.taking import Reading

EDEMA = Finding(observation=Observation.EDEMA, presence=Presence.PRESENT)
WANTED = WantedFinding(observation=Observation.EDEMA, presence=Presence.PRESENT)
KERLEY = ("kerley",)
KEPT = TakingRules(late=timedelta(days=30), wait=timedelta(days=30), keep_text=True)
READ = Reading(
    labels=FinalLabels(
        labeler="l1", presence={Observation.EDEMA: Presence.PRESENT}, sides={}, words=2
    )
)
REPORT = FinalReport(source=FinalSource.FILE, keys=ReportKeys(), text="Kerley lines.")


@pytest.fixture(autouse=True)
def one_ranked(monkeypatch):
    """Only the newest text is ranked, as the newest 2,000 of a large site are."""
    monkeypatch.setattr("service.store.search.texts._MOST_RANKED", 1)


@pytest.fixture
def draft(store, reviewing):
    """Make the draft of a study that states edema and has the word."""

    def made(number, text="Kerley lines."):
        return reviewing.drafted(store, f"1.2.{number}", findings=(EDEMA,), findings_text=(text,))

    return made


def found(store, wanted, words, **options):
    """Return the studies found."""
    return [each.study_uid for each in store.search_texts(wanted, words, limit=5, **options)]


CASES = pytest.mark.parametrize(
    ("wanted", "words"),
    [((WANTED,), ()), ((WANTED,), KERLEY), ((), KERLEY)],
    ids=["finding", "both", "words"],
)


@CASES
def test_a_text_that_does_not_stand_takes_no_place(store, draft, wanted, words):
    """Withdrawn, or of a study whose images were removed."""
    draft(1)
    store.withdraw(draft(2).id, "Ann", "Wrong patient.")
    draft(3)
    for image in store.spooled("1.2.3"):
        store.mark_instance_removed(image)
    assert found(store, wanted, words) == ["1.2.1"]


@CASES
def test_a_report_takes_no_place_where_reports_are_not_searched(store, draft, wanted, words):
    """A person who may not see final reports finds the newest draft."""
    draft(1)
    draft(2, "Clear.")
    keys = ReportKeys(study_uid="1.2.2")
    store.take_final_report(replace(REPORT, keys=keys), KEPT, READ)
    drafts = ["1.2.2"] if wanted else ["1.2.1"]
    assert found(store, wanted, words, in_reports=False) == drafts
    [hit] = store.search_texts(wanted, words, limit=5)
    assert (hit.study_uid, hit.source) == ("1.2.2", TextSource.FINAL_REPORT)


def test_the_words_of_a_text_with_the_finding_count(store, draft, reviewing):
    """Also if a newer text without the finding has the words."""
    draft(1)
    reviewing.drafted(store, "1.2.2", findings=(), findings_text=("Kerley lines.",))
    [hit] = store.search_texts((WANTED,), KERLEY, limit=5)
    assert hit.study_uid == "1.2.1"
    assert hit.rank != 0
