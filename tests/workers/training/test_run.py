"""The whole training from one call: files at the end, nothing done twice."""

import pytest
from click.testing import CliRunner

from workers.commands.train_demo import train_demo
from workers.model.checkpoints import cxr_llava
from workers.training.run import Plan, train
from workers.training.stages import Recipe

RECIPE = Recipe(epochs=(1, 1, 1), batches=(4, 4, 4), pointing=(1, 5e-4, 4))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A very short training, and its output."""
    folder = tmp_path_factory.mktemp("training")
    lines = []
    plan = Plan(out=folder / "demo", work=folder / "work", images=8, recipe=RECIPE, threads=1)
    train(plan, lines.append)
    return plan, lines


def digest(folder):
    """Return the digest of a checkpoint's weights."""
    model = cxr_llava.load(folder)
    return model.checkpoint.weights_sha256


@pytest.mark.slow
def test_it_states_how_far_it_is(run):
    """TrainingImages and every epoch of every stage are announced."""
    _, lines = run
    assert lines[0] == "drawn 8 of 8 images"
    stages = ["labels", "alignment", "tuning", "pointing"]
    assert [line.split(":")[0] for line in lines[1:]] == stages


@pytest.mark.slow
def test_finished_stages_are_not_done_again(run, tmp_path):
    """A second run over the same work folder writes the same files at once."""
    plan, _ = run
    lines = []
    train(Plan(out=tmp_path, work=plan.work, images=8, recipe=RECIPE, threads=1), lines.append)
    assert lines == []
    assert digest(tmp_path) == digest(plan.out)


def test_the_command_asks_for_a_folder():
    """Without --out it names what is missing."""
    result = CliRunner().invoke(train_demo, [])
    assert result.exit_code == 2
    assert "--out" in result.output
