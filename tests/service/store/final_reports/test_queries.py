"""Lists of final reports, and the SR Instances that may hold one."""

from dataclasses import replace
from datetime import timedelta

from service.final_reports.report import (
    FinalReport,
    FinalSource,
    FinalState,
    ReportKeys,
    TakingRules,
)
from tests.service.store.records import DRAFT_REPORT, arrive, claimed, drafted, image, objects_of

RULES = TakingRules(late=timedelta(days=30), wait=timedelta(days=30), keep_text=True)


def take(store, accession):
    """Take a report of a study that is not here."""
    keys = ReportKeys(accession_number=accession)
    return store.take_final_report(
        FinalReport(source=FinalSource.API, keys=keys, text="Clear."), RULES
    )


def test_reports_are_listed_latest_first_and_counted(store, clock):
    """By state."""
    for number in range(3):
        take(store, f"A{number}")
        clock.move(60)
    found = store.final_reports(limit=2)
    assert [each.received_at for each in found] == [
        clock() - timedelta(seconds=60),
        clock() - timedelta(seconds=120),
    ]
    assert found[0].has_text
    (state,) = store.final_report_counts()
    assert store.final_report_counts()[state] == 3
    assert len(store.final_reports(state=state)) == 3
    assert store.final_reports(state=FinalState.WITHDRAWN) == []


def test_documents_that_are_not_ours_may_hold_a_report(store):
    """Our own draft that an archive sent back does not; images and conflicts do not."""
    job = claimed(store)
    drafted(store, job)
    (ours, _) = objects_of(job)
    document = replace(image(7), sop_class_uid=DRAFT_REPORT)
    for each in (document, replace(document, sop_instance_uid=ours.sop_instance_uid)):
        store.add_instance(each, calling_ae="RIS", association_id="B", eligible=False)
    newest = store.newest_instance()
    ((number, path),) = store.document_instances(0, newest, [DRAFT_REPORT])
    assert path == document.path
    assert store.document_instances(number, newest, [DRAFT_REPORT]) == []
    arrive(store, 8)
    assert store.newest_instance() == newest + 1
    assert store.newest_report_instance() == 0
