"""`wetread judge` as a command, with a scripted server."""

import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner

from service.errors import ConfigurationError
from workers.commands.judge import judge

PAIRS = (
    "id,reference,candidate\na,Clear.,There is severe cardiomegaly.\nb,Clear.,Clear.\nc,,Clear.\n"
)


def lists(significant, insignificant=0):
    """Return a reply with these counts of type A."""
    rest = ", (B, 0), (C, 0), (D, 0), (E, 0), (F, 0))"
    return (
        f"Number of clinically significant errors by type: ((A, {significant}){rest}\n"
        f"Number of clinically insignificant errors by type: ((A, {insignificant}){rest}"
    )


@pytest.fixture
def server(scripted_server, monkeypatch, tmp_path):
    """A judge that counts cardiomegaly, set as the site's."""

    def script(_n, body):
        text = body["messages"][1]["content"].rpartition("Candidate Findings")[2]
        return server.chat(lists(int("cardiomegaly" in text)))

    server = scripted_server(script)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wetread.toml").write_text(f'[judge]\nurl = "{server.url}"\nmodel = "judge"\n')
    return server


def run(*arguments):
    """Run the command."""
    return CliRunner().invoke(judge, [str(each) for each in arguments], catch_exceptions=False)


def test_a_csv_file_is_judged(server, tmp_path):
    """Figures on the terminal and in judge.json beside the file; the same again without any request."""
    path = tmp_path / "pairs.csv"
    path.write_text(PAIRS)
    result = run(path)
    assert result.exit_code == 0
    assert "chexprompt-zero-shot: 2 pairs: 2 parsed" in result.stdout
    assert "1 without a reference text" in result.stdout
    assert "total: 0.50 errors a report" in result.stdout
    assert "do not compare it with published figures" in result.stdout
    written = (tmp_path / "pairs-judge" / "judge.json").read_bytes()
    content = json.loads(written)
    assert content["figures"]["headline"]["value"] == 0.5
    assert content["judge"]["metric"] == "chexprompt-zero-shot"
    assert content["judge"]["model"] == "judge"
    assert content["judge"]["tokens"] == {"prompt": 2600, "reply": 120}
    server.requests.clear()
    assert run(path).exit_code == 0
    assert server.requests == []


def test_a_dry_run_sends_nothing(server, tmp_path):
    """It shows how many tokens would be sent."""
    path = tmp_path / "pairs.csv"
    path.write_text(PAIRS)
    result = run(path, "--dry-run")
    assert result.stdout.startswith("to send: 2 pairs, about ")
    assert server.requests == []


def test_pairs_are_exported_without_a_server(monkeypatch, tmp_path):
    """For metrics that need weights; no setting is needed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text(PAIRS)
    result = run("pairs.csv", "--export-pairs", "out")
    assert result.exit_code == 0
    assert (tmp_path / "out" / "cand" / "a.txt").read_text() == "There is severe cardiomegaly.\n"


@pytest.mark.usefixtures("server")
def test_a_judge_is_validated_against_raters(tmp_path):
    """Errors of a left-out rater and of the judge, computed here from the same numbers."""
    ratings = np.random.default_rng(3).integers(0, 3, (40, 6))
    enlarged = [number % 2 for number in range(40)]
    lines = ["id,reference,candidate," + ",".join(f"rater{n}" for n in range(1, 7))]
    lines += [
        f"s{n},Clear.,{'Cardiomegaly' if not big else 'Severe cardiomegaly'} {n}.,"
        + ",".join(map(str, row))
        for n, (big, row) in enumerate(zip(enlarged, ratings, strict=True))
    ]
    path = tmp_path / "raters.csv"
    path.write_text("\n".join(lines) + "\n")
    result = run("--validate", path)
    assert result.exit_code == 0
    found = json.loads((tmp_path / "raters-judge" / "judge_validation.json").read_text())[
        "agreement"
    ]
    others = (ratings.sum(axis=1, keepdims=True) - ratings) / 5
    answers = np.array(enlarged)[:, None]
    assert found["total"]["rater_error"] == pytest.approx(np.abs(ratings - others).mean(), abs=1e-6)
    assert found["total"]["judge_error"] == pytest.approx(np.abs(answers - others).mean(), abs=1e-6)
    assert f"a left-out rater {np.abs(ratings - others).mean():.3f}" in result.stdout


def test_raters_alone_need_no_server(monkeypatch, tmp_path):
    """The published figures of ReXVal come from the raters' own file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raters.csv").write_text("rater1,rater2,rater3\n0,1,2\n3,3,0\n")
    result = run("--validate", "raters.csv")
    assert result.exit_code == 0
    assert "2 pairs, 3 raters: a left-out rater 1.500" in result.stdout


def test_no_figure_is_exit_status_1(server, tmp_path):
    """Only unparsable replies of a judge that was allowed although it fails the probe."""
    server.script = lambda _n, _body: server.chat("Fine.")
    (tmp_path / "pairs.csv").write_text(PAIRS)
    result = run("pairs.csv", "--allow-untested-judge")
    assert result.exit_code == 1
    assert "no figure" in result.stdout
    assert "2 unparsable (no header: 2)" in result.stdout
    assert "The judge failed the probe" in result.stdout


def test_without_a_server_the_setting_is_named(monkeypatch, tmp_path):
    """And a URL outside the site is refused when the settings are read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text(PAIRS)
    with pytest.raises(ConfigurationError, match=r"judge\.url is not set"):
        run("pairs.csv")
    (tmp_path / "wetread.toml").write_text('[judge]\nurl = "https://8.8.8.8/v1"\nmodel = "gpt"\n')
    with pytest.raises(ConfigurationError, match="allow_remote = true"):
        run("pairs.csv")


def test_other_examples_than_the_published_are_refused(server, tmp_path):
    """The file is named, and nothing is sent."""
    (tmp_path / "pairs.csv").write_text(PAIRS)
    (tmp_path / "examples.txt").write_text("##\nReference Findings: mine\n##\n")
    with (tmp_path / "wetread.toml").open("a") as file:
        file.write('examples = "examples.txt"\n')
    with pytest.raises(ConfigurationError, match=r"judge\.examples.*not the published ones"):
        run("pairs.csv")
    assert server.requests == []


def test_a_run_that_is_killed_continues(server, tmp_path):
    """SIGKILL and SIGINT in the middle: each pair is counted once, as in one run."""
    rows = [
        f"s{n},Clear {n}.,{'Severe cardiomegaly' if n % 2 else 'Clear'} {n}." for n in range(40)
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(["id,reference,candidate", *rows]) + "\n")
    journal = tmp_path / "pairs-judge" / "judge.jsonl"
    answer, held = server.script, threading.Event()

    def script(n, body):
        if not held.is_set():
            held.wait(0.05)
        return answer(n, body)

    server.script = script
    for killed_at, end in ((5, signal.SIGKILL), (15, signal.SIGINT), (25, signal.SIGKILL)):
        # A test run in the background of a shell has SIGINT ignored, and so would its children.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "service.cli"]
        process = subprocess.Popen([*command, "judge", "pairs.csv"])
        while not journal.exists() or journal.read_bytes().count(b"\n") < killed_at:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(end)
        assert process.wait(30) == (130 if end == signal.SIGINT else -end)
    held.set()
    result = run("pairs.csv")
    assert result.exit_code == 0
    assert "40 pairs: 40 parsed" in result.stdout
    assert "total: 0.50 errors a report" in result.stdout
    records = [json.loads(line) for line in journal.open()]
    assert len({record["id"] for record in records}) == len(records) == 40


def test_a_judge_can_be_probed_alone(server):
    """Two requests; exit status 1 and the wrong counts where it fails."""
    passed = run("--probe")
    assert (passed.exit_code, passed.stdout) == (0, "the judge passed the probe\n")
    assert len(server.requests) == 2
    server.script = lambda _n, _body: server.chat(lists(2))
    failed = run("--probe")
    assert failed.exit_code == 1
    assert "equal texts: significant A=2, insignificant none; expected" in failed.stdout
