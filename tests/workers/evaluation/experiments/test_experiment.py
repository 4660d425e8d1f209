"""`wetread experiment` from its command line to its folder, with the shipped model and phantoms."""

import json

import pytest
from click.testing import CliRunner

from workers.commands.experiment import experiment
from workers.evaluation.experiments.experiment import cells_of
from workers.evaluation.experiments.experiment_prompts import BUILT_IN, prompts_of


def call(*arguments, code=0):
    """Run the command; return its output."""
    result = CliRunner().invoke(experiment, [str(word) for word in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def few(phantoms, tmp_path, monkeypatch):
    """The arguments for three phantoms and a folder, in a site with default settings."""
    monkeypatch.chdir(tmp_path)
    names = [path.name for path in sorted((phantoms / "images").iterdir())[:3]]
    table = tmp_path / "studies.csv"
    (tmp_path / "images").symlink_to(phantoms / "images")
    table.write_text("file\n" + "".join(f"images/{name}\n" for name in names))
    return (table, "--truth", phantoms / "labels.csv", "--out", tmp_path / "out")


def test_greedy_repeats_are_equal_and_a_second_call_reads_nothing(few, tmp_path):
    """Flip rate 0 at temperature 0; each study in each cell so often; the same bytes again."""
    arguments = (*few, "--prompt", "specific,confirm", "--temperature", "0,1", "--repeats", "3")
    call(*arguments)
    path = tmp_path / "out" / "metrics.json"
    found = json.loads(path.read_text())["experiment"]
    assert set(found["cells"]) == {
        f"{prompt}, temperature {temperature}, top_p 0.8"
        for prompt in ("specific", "confirm")
        for temperature in (0, 1)
    }
    for name, cell in found["cells"].items():
        assert (cell["studies"], cell["repeats"]) == (3, 3)
        if "temperature 0," in name:
            assert cell["flip_rate"] == 0
    assert set(found["comparisons"]) == {"confirm"}
    rows = [
        json.loads(line) for line in (tmp_path / "out" / "drafts.jsonl").read_text().splitlines()
    ]
    assert "There is" not in json.dumps(rows)  # no text is kept
    before = path.read_bytes()
    assert "loading" not in call(*arguments)
    assert path.read_bytes() == before
    assert "choose a new folder" in call(*arguments, "--top-p", "0.5", code=2)


def test_prompts_come_from_a_file_and_faults_are_listed(few, tmp_path):
    """Unknown names, wrong numbers and a wrong file at once."""
    path = tmp_path / "prompts.toml"
    path.write_text('[short]\ntext = "Describe the image."\n[odd]\nwords = 1\n')
    output = call(
        *few, "--prompts", path, "--prompt", "short,none", "--temperature", "0,hot",
        "--top-p", "2", code=2,
    )  # fmt: skip
    for fault in ("[odd] may hold text and confirm only", "no prompt is called 'none'",
                  "'hot' is no number", "--top-p: '2'"):  # fmt: skip
        assert fault in output


def test_a_file_of_prompts_is_taken_as_a_whole_without_names(tmp_path):
    """In its order."""
    path = tmp_path / "prompts.toml"
    path.write_text('[b]\ntext = "B?"\n[a]\ntext = "A?"\nconfirm = true\n')
    faults = []
    assert [prompt.name for prompt in prompts_of("", path, faults)] == ["b", "a"]
    assert faults == []


def test_top_p_does_not_multiply_greedy_cells():
    """At temperature 0 the likeliest token is taken for any top_p."""
    cells = cells_of([BUILT_IN["specific"]], [0.0, 1.0], [0.5, 0.9])
    assert [(cell.temperature, cell.top_p) for cell in cells] == [
        (0.0, 0.5),
        (1.0, 0.5),
        (1.0, 0.9),
    ]
