"""The import of final reports: files by the command, SRs at the receiver, texts by the API."""

import getpass
import json
import logging

import pytest
from click.testing import CliRunner
from pydicom.uid import BasicTextSRStorage

from dicom.content.report import Observation, Presence
from service.audit import AuditAction
from service.final_reports.report import FinalReport, FinalSource, FinalState, ReportKeys
from service.settings.config import CONFIG
from workers.commands.final_reports import final_reports
from workers.final_reports.watch import FinalReportWatch

TEXT = "FINDINGS: The heart is enlarged. Mild edema. IMPRESSION: Cardiac failure."


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that runs `wetread final-reports` at the site."""
    config = tmp_path / "wetread.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n')
    monkeypatch.setenv(CONFIG, str(config))
    return lambda *arguments: CliRunner().invoke(final_reports, [str(word) for word in arguments])


def test_a_file_is_imported_once(command, report_site, tmp_path):
    """Matched, labeled, measured against the draft, audited; again: nothing changes."""
    path = tmp_path / "reports.csv"
    path.write_text(f'accession,patient_id,report\nA1,P1,"{TEXT}"\nB9,P2,Clear.\n')
    first = command("import", path)
    assert (first.exit_code, first.output) == (0, "1 matched, 1 unmatched\n")
    assert command("import", path).output == "2 known already\n"
    matched = report_site.store.final_reports(state=FinalState.MATCHED)[0]
    assert matched.job_id == report_site.job.id
    assert matched.labels.presence[Observation.EDEMA] is Presence.PRESENT
    assert matched.kept_share == 0.5
    assert 0 < matched.changed_share < 1
    events = [record.event for record in report_site.store.whole_audit()]
    assert {each.action for each in events} == {AuditAction.IMPORTED}
    assert {each.actor for each in events} == {f"{getpass.getuser()} (command line)"}
    assert [each.detail for each in events] == [
        "final reports: begun with 1 file",
        "final reports: 1 matched, 1 unmatched",
        "final reports: begun with 1 file",
        "final reports: 2 known already",
    ]
    listed = command("list").output
    assert "1 matched, 1 unmatched" in listed
    assert "P1" not in listed


def test_nothing_is_imported_from_a_file_with_faults(command, report_site, tmp_path):
    """Exit 2 with the lines; --skip-faulty takes the others."""
    path = tmp_path / "reports.jsonl"
    lines = [{"accession": "A1", "report": TEXT}, {"accession": "A1"}]
    path.write_text("\n".join(map(json.dumps, lines)))
    refused = command("import", path)
    assert refused.exit_code == 2
    assert f"{path} line 2: column report" in refused.output
    assert report_site.store.final_reports() == []
    assert command("import", path, "--skip-faulty").exit_code == 2
    assert len(report_site.store.final_reports()) == 1


def test_a_report_sr_is_taken_from_the_spool(report_site, reports, tmp_path, caplog):
    """A corrected one replaces it; a damaged one and an image are passed over; no patient in the log."""
    watch = FinalReportWatch(report_site.store, report_site.settings)
    watch.look()
    caplog.set_level(logging.DEBUG)
    for number in (1, 2):
        made = reports.document(*reports.sections, number=number)
        report_site.arrived(reports.saved(made, tmp_path), made.SOPInstanceUID, BasicTextSRStorage)
        watch.look()
    (tmp_path / "damaged").write_bytes(b"x" * 200)
    report_site.arrived(tmp_path / "damaged", "1.2.9", BasicTextSRStorage)
    watch.look()
    watch.look()
    newer, older = report_site.store.final_reports()
    assert (newer.source, newer.state) == (FinalSource.SR, FinalState.MATCHED)
    assert older.state is FinalState.SUPERSEDED
    assert newer.labels.presence == {Observation.EDEMA: Presence.PRESENT} | newer.labels.presence
    # Another process continues at the position of this one, and takes none twice.
    FinalReportWatch(report_site.store, report_site.settings).look()
    assert len(report_site.store.final_reports()) == 2
    assert "P1" not in caplog.text
    assert "Edema" not in caplog.text


def test_a_text_of_the_api_is_labeled_soon(report_site):
    """It waits unlabeled, without state in any figure; then its text is removed."""
    store, rules = report_site.store, report_site.settings.final_reports.taking
    report = FinalReport(source=FinalSource.API, keys=ReportKeys(accession_number="A1"), text=TEXT)
    assert store.take_final_report(report, rules).state is FinalState.UNLABELED
    FinalReportWatch(store, report_site.settings).look()
    (found,) = store.final_reports()
    assert (found.state, found.has_text) == (FinalState.MATCHED, False)
    assert found.kept_share == 0.5
