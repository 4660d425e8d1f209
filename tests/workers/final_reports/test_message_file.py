"""`wetread final-reports import FILE.hl7`: one or many messages in a file."""

import pytest
from click.testing import CliRunner

from service.errors import ConfigurationError
from service.final_reports.report import FinalSource, FinalState
from service.settings.config import CONFIG
from tests.hl7_messages import framed, header, line, message, order, patient, simple, thousand
from workers.commands.final_reports import final_reports
from workers.final_reports.message_file import read_messages

ED = line("^application^pdf^Base64^JVBERi0xLjQ=", kind="ED")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that runs `wetread final-reports` at the site."""
    config = tmp_path / "wetread.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n')
    monkeypatch.setenv(CONFIG, str(config))
    return lambda *arguments: CliRunner().invoke(final_reports, [str(word) for word in arguments])


def test_a_file_of_messages_is_imported_once(command, report_site, tmp_path):
    """Matched and labeled like any other final report; the text is dropped."""
    path = tmp_path / "reports.HL7"
    path.write_bytes(
        simple("1", "There is mild edema.")
        + message(header("2"), patient(), order("B9", status="P"), line("x", status="P"))
        + message(header("3"), patient(), order("B9"), ED)
    )
    first = command("import", path)
    summary = "1 matched, 1 preliminary, not used, 1 without readable text, not used\n"
    assert (first.exit_code, first.output) == (0, summary)
    assert command("import", path).output.startswith("1 known already")
    (found,) = report_site.store.final_reports(state=FinalState.MATCHED)
    assert (found.source, found.has_text) == (FinalSource.HL7, False)
    assert found.labels.presence["edema"] == "present"


def test_nothing_of_a_file_with_a_fault_is_imported(command, report_site, tmp_path):
    """The message is named by its number, and the field."""
    path = tmp_path / "reports.hl7"
    path.write_bytes(simple() + message(header("2"), order(""), line("Secret.")))
    refused = command("import", path)
    assert refused.exit_code == 2
    assert f"{path} message 2: OBR-18, OBR-3, OBR-2, ORC-3: is empty" in refused.output
    assert "Secret" not in refused.output
    assert report_site.store.final_reports() == []


@pytest.mark.parametrize(
    "content",
    [
        b"".join(map(framed, (simple("1"), simple("2")))),
        b"\xef\xbb\xbf" + (simple("1") + b"\r\n" + simple("2")).replace(b"\r", b"\n"),
        b"FHS|^~\\&|RIS\rBHS|^~\\&|RIS\r" + simple("1") + simple("2") + b"BTS|2\rFTS|1\r",
    ],
)
def test_messages_are_separated(content, tmp_path):
    """Framed, with line feeds, or in a batch."""
    path = tmp_path / "x.hl7"
    path.write_bytes(content)
    assert len(list(read_messages(path, ("OBR-18",)))) == 2


def test_a_file_without_a_message_is_refused(tmp_path):
    """With what to do."""
    path = tmp_path / "x.hl7"
    path.write_bytes(b"%PDF-1.4")
    with pytest.raises(ConfigurationError, match="does not begin with MSH"):
        list(read_messages(path, ("OBR-18",)))


def test_a_thousand_messages_end_in_known_states(report_site, tmp_path, command):
    """Those that `thousand` counts by hand."""
    traffic = thousand()
    path = tmp_path / "all.hl7"
    path.write_bytes(b"".join(traffic.messages))
    assert command("import", path).exit_code == 0
    counts = report_site.store.final_report_counts()
    assert {state.value: count for state, count in counts.items()} == traffic.states
