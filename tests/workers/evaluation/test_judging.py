"""`wetread evaluate --judge` with a scripted server: figures, failures, continuation, faults."""

import json
import shutil

import pytest
from click.testing import CliRunner

from workers.commands.evaluate import evaluate

ZEROS = "(B, 0), (C, 0), (D, 0), (E, 0), (F, 0))"


def reply(significant, insignificant):
    """Return a reply with these counts of type A."""
    return (
        f"Number of clinically significant errors by type: ((A, {significant}), {ZEROS}\n"
        f"Number of clinically insignificant errors by type: ((A, {insignificant}), {ZEROS}"
    )


def is_probe(body):
    """Return whether a request is one of the probe."""
    return "No acute bony abnormality is seen." in body["messages"][1]["content"]


@pytest.fixture
def server(scripted_server):
    """A judge that passes the probe and counts one insignificant error in each draft."""

    def script(_n, body):
        candidate = body["messages"][1]["content"].rpartition("Candidate Findings")[2]
        return server.chat(reply(int("severe cardiomegaly" in candidate), int(not is_probe(body))))

    server = scripted_server(script)
    return server


@pytest.fixture(scope="module", autouse=True)
def at_site(tmp_path_factory):
    """A folder of a site with the default settings, as the current one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("site"))
        yield


@pytest.fixture(scope="module")
def truth(phantoms_of, tmp_path_factory):
    """Three phantoms; two have reports with findings, the third an impression only."""
    folder = phantoms_of(tmp_path_factory.mktemp("three"), 3)
    reports = folder / "reports"
    reports.mkdir()
    paths = sorted((folder / "images").iterdir())
    for path in paths[:2]:
        text = "Findings: The lungs are clear. Impression: Normal."
        (reports / f"{path.stem}.txt").write_text(text)
    (reports / f"{paths[2].stem}.txt").write_text("Impression: No pneumothorax.")
    return folder


@pytest.fixture(scope="module")
def drafted(truth, tmp_path_factory):
    """The folder of a finished evaluation without a judge; read-only."""
    out = tmp_path_factory.mktemp("drafted") / "out"
    call(truth, out)
    return out


def call(folder, out, *arguments, code=0):
    """Run the command; return its output."""
    words = [folder / "images", "--truth", folder / "reports", "--out", out, *arguments]
    result = CliRunner().invoke(evaluate, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def judge_metrics(out):
    """Return what metrics.json has of the judge."""
    return json.loads((out / "metrics.json").read_text())["judge"]


def test_the_judges_figures_stand_in_metrics_and_report(server, truth, drafted, tmp_path):
    """Totals with intervals, the metric's name, and the same bytes again without a request."""
    assert judge_metrics(drafted) is None
    out = shutil.copytree(drafted, tmp_path / "out")
    options = ("--judge", server.url, "--judge-model", "judge")
    assert "to send: 2 pairs" in call(truth, out, *options)
    found = judge_metrics(out)
    assert found["metric"] == "chexprompt-zero-shot"
    assert found["figures"]["headline"]["value"] == 1
    assert found["figures"]["total"]["mean"]["interval"]["low"] == 1
    assert (found["figures"]["pairs"], found["without_reference"]) == (2, 1)
    assert found["source"]["probe_faults"] == []
    page = (out / "report.html").read_text()
    assert "Errors counted by a language model: chexprompt-zero-shot, judge" in page
    assert "do not compare it with published figures of CheXprompt" in page
    before = (out / "metrics.json").read_bytes(), page
    server.requests.clear()
    call(truth, out, *options)
    assert server.requests == []
    assert ((out / "metrics.json").read_bytes(), (out / "report.html").read_text()) == before


def test_a_failed_judge_costs_no_draft_and_the_same_command_continues(
    server, truth, drafted, tmp_path, monkeypatch
):
    """The server refuses the key at the second pair: exit status 1, and the report says why."""
    out = shutil.copytree(drafted, tmp_path / "out")
    options = ("--judge", server.url, "--judge-model", "judge")
    monkeypatch.setenv("WETREAD_JUDGE__CONCURRENCY", "1")
    script = server.script
    server.script = lambda n, body: (
        script(n, body) if n < 3 else server.json({"error": "key expired"}, 401)
    )
    call(truth, out, *options, code=1)
    assert "key expired" in judge_metrics(out)["not_judged"]
    assert "Not counted: judge: " in (out / "report.html").read_text()
    server.script = script
    server.requests.clear()
    call(truth, out, *options)
    assert len([body for body in server.bodies if not is_probe(body)]) == 1
    assert judge_metrics(out)["figures"]["parsed"] == 2


def test_unparsable_replies_are_counted_apart(server, truth, drafted, tmp_path):
    """No figure, the reasons in metrics and report, and that the probe failed: also the next time."""
    server.script = lambda _n, _body: server.chat("Fine.")
    out = shutil.copytree(drafted, tmp_path / "out")
    options = ("--judge", server.url, "--judge-model", "judge")
    assert "failed the probe" in call(truth, out, *options, code=1)
    assert "failed the probe" in judge_metrics(out)["not_judged"]
    for _ in range(2):
        call(truth, out, *options, "--allow-untested-judge", code=1)
        found = judge_metrics(out)
        assert found["figures"]["headline"] is None
        assert found["figures"]["unparsable"]["no header"] == 2
        page = (out / "report.html").read_text()
        assert "No figure is shown" in page
        assert "Unparsable: no header" in page
        assert "The judge failed the probe" in page


def test_faults_are_listed_before_anything_is_read(server, truth, tmp_path):
    """No server, no report text to compare with, texts that are not kept."""
    out = tmp_path / "out"
    words = [truth / "images", "--truth", truth / "labels.csv", "--out", out, "--judge"]
    result = CliRunner().invoke(evaluate, [str(word) for word in words])
    assert result.exit_code == 2
    assert "judge.url is not set" in result.output
    assert "the truth holds no report text" in result.output
    assert not out.exists()
    assert "--no-text" in call(truth, out, "--no-text", "--judge", server.url, code=2)
    assert server.requests == []
