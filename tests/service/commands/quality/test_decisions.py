"""`wetread decisions`: figures and the export."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from service.commands.quality.decisions import decisions
from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database


@pytest.fixture
def decided(tmp_path, monkeypatch, reviewing):
    """A database with an edited and a rejected draft."""
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    make_database(settings.database_url)
    store = Store.open(settings)
    edited = reviewing.drafted(store, study="1.2.1")
    rejected = reviewing.drafted(store, study="1.2.2")
    store.decide(
        edited.id,
        reviewing.edit(),
        reviewing.roentgen,
        key="key-1",
        digest="d",
        audit=reviewing.audit,
    )
    rejection = reviewing.rejection(reason="=HYPERLINK()")
    store.decide(
        rejected.id, rejection, reviewing.curie, key="key-2", digest="d", audit=reviewing.audit
    )
    yield store
    store.close()


def run(*arguments):
    """Return what the command printed."""
    result = CliRunner().invoke(decisions, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_figures_are_printed_and_given_to_programs(decided):
    """With interval, number, and the published figure."""
    output = " ".join(run("figures").split())
    assert "100.0 %" in output
    assert "72.7 %" in output
    (found,) = json.loads(run("figures", "--json"))
    assert (found["n"], found["acceptable"]["n"], found["rejections"]["wrong side"]) == (2, 2, 1)
    assert len(json.loads(run("figures", "--by", "reader", "--json"))) == 2
    assert run("figures", "--since", "2100-01-01").strip() == "no decisions"
    assert decided.decisions()


def test_the_export_has_a_line_for_each_decision_and_no_text_unless_asked(decided):
    """CSV without formulas."""
    rows = list(csv.DictReader(io.StringIO(run("export"))))
    assert [row["verdict"] for row in rows] == ["reject", "edit"]
    assert (rows[1]["words_changed"], rows[1]["sentences_kept"]) == ("1", "4")
    assert json.loads(rows[1]["findings"])["cardiomegaly"] == "agree"
    assert "report_text" not in rows[0]
    assert "enlarged" not in run("export")
    rows = list(csv.DictReader(io.StringIO(run("export", "--with-text"))))
    assert "The heart is enlarged." in rows[1]["draft_text"]
    assert rows[0]["reason"] == "'=HYPERLINK()"
    assert decided.decisions()
