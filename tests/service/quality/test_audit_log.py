"""The exported audit log: verified by a script that needs Python alone; any change is found."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date

import pytest

from service.audit import AuditAction
from service.quality.audit_log import LOG_FILE, VERIFIER_FILE, LogSummary, audit_log, log_lines
from service.quality.document import DocumentKind
from service.quality.files import write_documents
from service.quality.period import Period
from service.quality.verify_log import digest_of


@pytest.fixture
def exported(inputs, tmp_path):
    """The folder of an exported log."""
    write_documents(inputs, tmp_path / "out", {DocumentKind.AUDIT_LOG})
    return tmp_path / "out"


def verified(folder):
    """Return the exit status and the output of the script, without any library of ours."""
    command = [sys.executable, "-I", "-S", VERIFIER_FILE, LOG_FILE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_anyone_can_verify_the_file(exported, worked):
    """The document states the number of records and the digest that the script prints."""
    values = json.loads((exported / "audit-log.json").read_text())["values"]
    code, output = verified(exported)
    assert (code, output.split()) == (
        0, ["verified:", str(values["records"]), "lines,", "last", "digest",
            values["last_line_digest"]],
    )  # fmt: skip
    lines = [json.loads(line) for line in (exported / LOG_FILE).read_text().splitlines()]
    assert [each["record"] for each in lines] == list(range(1, len(lines) + 1))
    trail = list(worked.whole_audit())
    assert [each["record_digest"] for each in lines] == [each.digest for each in trail]
    facts = dict(json.loads((exported / "audit-log.json").read_text())["sections"][0]["facts"][4])
    assert facts["value"].startswith("verified from record 1 to")


@pytest.mark.parametrize("fault", ["change", "remove", "insert", "swap", "reseal"])
def test_a_change_anywhere_is_found(exported, fault):
    """Also if the digest of the changed line was computed again."""
    path = exported / LOG_FILE
    lines = path.read_text().splitlines(keepends=True)
    if fault == "change":
        lines[3] = lines[3].replace("kim", "tom")
    elif fault == "remove":
        del lines[3]
    elif fault == "insert":
        lines.insert(3, lines[2])
    elif fault == "swap":
        lines[3], lines[4] = lines[4], lines[3]
    else:
        line = json.loads(lines[3]) | {"actor": "tom"}
        lines[3] = json.dumps(line | {"digest": digest_of(line)}) + "\n"
    path.write_text("".join(lines))
    code, output = verified(exported)
    assert code == 1
    assert "BROKEN: line" in output


def test_what_people_typed_and_who_the_patient_is_are_keyed_digests(inputs):
    """The name of a refused login too; equal values have equal digests."""
    lines = [json.loads(line) for line in log_lines(inputs, LogSummary())]
    viewed = [each for each in lines if each["action"] == AuditAction.VIEWED]
    assert len({each["patient"] for each in viewed}) == 1
    assert len({each["study"] for each in viewed}) == 3
    assert all(each["patient"].startswith("#") for each in viewed)
    (refused,) = [each for each in lines if each["outcome"] == "refused"]
    assert refused["actor"].startswith("#")
    details = {each["action"]: each["detail"] for each in lines}
    assert details["stopped drafting"].startswith("#")
    assert details["changed settings"] == "digest one"


def test_a_trail_that_was_changed_is_reported(inputs, monkeypatch):
    """The document states the first record that does not fit."""
    records = list(inputs.store.whole_audit())
    records[2] = replace(records[2], event=replace(records[2].event, actor="tom"))
    monkeypatch.setattr(inputs.store, "whole_audit", lambda position=0: iter(records[position:]))
    summary = LogSummary()
    for _ in log_lines(inputs, summary):
        pass
    facts = dict(audit_log(inputs, summary).sections[0].facts)
    assert facts["Audit trail in the database"] == (
        "BROKEN: record 3 was changed after it was written"
    )


def test_a_period_without_records_has_an_empty_file(inputs, tmp_path):
    """And says so."""
    quiet = replace(inputs, period=Period(date(2026, 1, 1), date(2026, 1, 2)))
    write_documents(quiet, tmp_path / "out", {DocumentKind.AUDIT_LOG})
    assert verified(tmp_path / "out")[0] == 0
    assert "not recorded: records of the period" in (tmp_path / "out/audit-log.html").read_text()
