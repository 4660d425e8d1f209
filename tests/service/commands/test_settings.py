"""`wetread settings`: the values in force and their sources; never a secret."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from service.commands.settings import settings
from service.errors import ConfigurationError

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def run(*arguments):
    """Return what `wetread settings ARGUMENTS` prints."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(settings, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_file_and_what_overrides_it_are_shown(tmp_path, monkeypatch):
    """The file's name stands above, the environment wins, a password shows as set."""
    (tmp_path / "wetread.toml").write_text('[web]\nport = 8123\npassword = "hidden"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_RECEIVER__PORT", "1104")
    output = run()
    lines = {line.split()[1]: line for line in output.splitlines() if "." in line and "│" in line}
    assert "wetread.toml" in output.splitlines()[0]
    assert "8123" in lines["web.port"]
    assert "1104" in lines["receiver.port"]
    assert "(set)" in lines["web.password"]
    assert "hidden" not in output


def test_without_a_file_it_reports_it(tmp_path, monkeypatch):
    """The output states which file was read."""
    monkeypatch.chdir(tmp_path)
    assert "no wetread.toml" in run()


def test_the_reference_page_can_be_printed():
    """`--markdown` prints the end of docs/configuration.md."""
    assert PAGE.read_text().endswith(run("--markdown"))


def with_profile(folder, text, name="own.toml"):
    """Write a profile and settings whose [reading] and one of [[models]] name profiles."""
    (folder / "own.toml").write_text(text)
    (folder / "wetread.toml").write_text(
        f'[reading]\nkind = "transformers"\nmodel = "own"\nmodel_dir = "."\nprofile = "{name}"\n'
        '[[models]]\nname = "second"\nkind = "openai"\nprofile = "generik"\n'
        'server_url = "http://127.0.0.1:1/v1"\nserver_model = "x"\n'
    )


def test_a_profile_that_cannot_be_used_is_refused(tmp_path, monkeypatch):
    """The setting, the file, its line and key; a missing one with the shipped names. Of both models."""
    monkeypatch.chdir(tmp_path)
    with_profile(tmp_path, "format = 1\nname = 3\n")
    with pytest.raises(
        ConfigurationError,
        match=r"(?s)reading\.profile = 'own\.toml': own\.toml: .*line 2: name: 3 is not allowed.*"
        r'models "second", profile = \'generik\': .*no file .*shipped are chexagent',
    ):
        run()


def test_a_fault_is_an_error_of_ours(tmp_path, monkeypatch):
    """Every fault is named at once."""
    (tmp_path / "wetread.toml").write_text('[web]\nport = "x"\n[receiver]\nport = 99999\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"(?s)web\.port.*receiver\.port"):
        run()
