import json

import pytest
from click.testing import CliRunner

from dicom.scu.commitment_request import CommitmentRequest, Reference
from service.commands.commitment import commitment
from service.records import CommitmentState
from service.settings.config import load_settings
from service.store import Store
from service.store.audit.trail import AuditFilter
from tests.databases import make_database


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store of the site that the commands use."""
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    make_database(settings.database_url)
    opened = Store.open(settings)
    yield opened
    opened.close()


def test_given_up_reports_are_listed_and_sent_again(store):
    """The list names peer, state and reason; a retry makes them due, and is audited."""
    reference = Reference(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4")
    request = CommitmentRequest(transaction_uid="1.2.1", references=(reference,))
    store.owe_report(request, ae_title="CR1", host="10.0.0.7", port=2762)
    report = store.claim_report("sweep", 60)
    store.extend_report(report, 60, failures={"1.2.3.4": 0x0112})
    store.give_up_reports(report, store.now(), "CR1 refused it.")
    run = CliRunner()
    (listed,) = json.loads(run.invoke(commitment, ["list", "--json"]).output)
    assert listed["ae_title"] == "CR1"
    assert listed["state"] == "GIVEN_UP"
    assert listed["failures"] == {"1.2.3.4": 0x0112}
    assert listed["last_error"] == "CR1 refused it."
    assert "CR1 at 10.0.0.7:2762" in run.invoke(commitment, ["list"]).output
    assert run.invoke(commitment, ["retry", "CR2"]).output == "0 due now\n"
    assert store.audit_records(AuditFilter()) == []
    assert run.invoke(commitment, ["retry"]).output == "1 due now\n"
    (owed,) = store.commitment_reports()
    assert owed.state is CommitmentState.OWED
    (record,) = store.audit_records(AuditFilter())
    assert record.event.detail == "1 storage commitment reports to all peers"
