"""`wetread evaluate` and `experiment` with one model of each kind in the same settings."""

import json

import pytest
from click.testing import CliRunner

from workers.commands.evaluate import evaluate
from workers.commands.experiment import experiment
from workers.training import as_llava

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REPORT = (
    "Findings: The heart is enlarged. There is no pleural effusion. There is no pneumothorax.\n"
    "Impression: Cardiomegaly."
)
STUDIES = 4


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    """The demo model as a checkpoint of the transformers library."""
    folder = tmp_path_factory.mktemp("llava")
    as_llava.write(folder)
    return folder


@pytest.fixture
def site(llava, phantoms, scripted_server, tmp_path, monkeypatch):
    """A site with the demo model, the same as a LLaVA, and a server; returns the table of studies."""
    server = scripted_server(lambda _n, body: server.events([REPORT], model=body["model"]))
    (tmp_path / "wetread.toml").write_text(
        f'[[models]]\nname = "llava"\nkind = "transformers"\nmodel_dir = "{llava}"\n'
        f'profile = "{llava / "profile.toml"}"\n'
        '[[models]]\nname = "served"\nkind = "openai"\nprofile = "generic"\n'
        f'server_url = "{server.url}"\nserver_model = "chest"\n'
    )
    monkeypatch.chdir(tmp_path)
    names = [path.name for path in sorted((phantoms / "images").iterdir())[:STUDIES]]
    (tmp_path / "images").symlink_to(phantoms / "images")
    table = tmp_path / "studies.csv"
    table.write_text("file\n" + "".join(f"images/{name}\n" for name in names))
    return table


def call(command, table, phantoms, out, *arguments):
    """Run a command; return its metrics."""
    words = [table, "--truth", phantoms / "labels.csv", "--out", out, *arguments]
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return json.loads((out / "metrics.json").read_text())


def test_each_kind_is_evaluated(site, phantoms, tmp_path):
    """The demo model gives the same figures through the library; the server's text gives its own."""
    found = {
        name: call(evaluate, site, phantoms, tmp_path / name, "--model", name)
        for name in ("demo", "llava", "served")
    }
    counts = {
        name: {finding: each["counts"] for finding, each in one["figures"]["findings"].items()}
        for name, one in found.items()
    }
    assert counts["llava"] == counts["demo"]
    for finding, positive in (("cardiomegaly", STUDIES), ("pleural effusion", 0)):
        served = counts["served"][finding]
        assert served["tp"] + served["fp"] == positive


def test_each_kind_is_part_of_an_experiment(site, phantoms, tmp_path):
    """Two prompts at temperature 0, twice: no flips."""
    for name in ("llava", "served"):
        found = call(
            experiment, site, phantoms, tmp_path / f"x-{name}", "--model", name,
            "--prompt", "specific,basic", "--temperature", "0", "--repeats", "2",
        )["experiment"]  # fmt: skip
        assert len(found["cells"]) == 2
        for cell in found["cells"].values():
            assert (cell["studies"], cell["repeats"], cell["flip_rate"]) == (STUDIES, 2, 0)
