"""`wetread profile`: the shipped profiles can be listed, printed and copied; a copy can be checked."""

import pytest
from click.testing import CliRunner

from service.errors import PermanentReadingError
from workers.commands.profile import profile
from workers.model.profiles.load import SHIPPED, shipped_names


def run(*arguments):
    """Run the command and return its output."""
    return CliRunner().invoke(profile, arguments, catch_exceptions=False).output


def test_the_list_states_of_each_whether_it_was_tried():
    """A line a profile: name, trial with real weights, what it cannot do, licence."""
    lines = run().splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_names())
    assert all("not tried with real weights" in line for line in lines)
    assert any("cannot: regions, children" in line for line in lines)


@pytest.mark.parametrize("name", shipped_names())
def test_a_printed_profile_is_the_file_and_can_be_checked(name, tmp_path):
    """The printed text is valid as a file of the site's own."""
    text = run(name)
    assert text == (SHIPPED / f"{name}.toml").read_text(encoding="utf-8")
    copy = tmp_path / "own.toml"
    copy.write_text(text, encoding="utf-8")
    assert run("--check", str(copy)).startswith(f"{copy}: valid: ")


def test_a_fault_is_named_with_line_and_key(tmp_path):
    """The command ends with the message of the loader."""
    copy = tmp_path / "own.toml"
    copy.write_text(run("generic").replace("only_sections", "x").replace("mode =", "mod ="))
    with pytest.raises(
        PermanentReadingError, match=r"own\.toml: line \d+: image\.mod: there is no"
    ):
        run("--check", str(copy))
    with pytest.raises(PermanentReadingError, match="no shipped profile has this name"):
        run("absent")
