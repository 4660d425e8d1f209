"""`wetread label`: report text in, findings out."""

import json

from click.testing import CliRunner

from service.errors import ConfigurationError
from workers.commands.label import label

TEXT = "There is a left pleural effusion. No pneumothorax."


def run(text, *options):
    """Return the result for a text on standard input."""
    return CliRunner().invoke(label, options, input=text)


def test_findings_are_lines_for_people():
    """Name, presence and side."""
    lines = run(TEXT).output.splitlines()
    assert "pleural effusion: present (left)" in lines
    assert "pneumothorax: absent" in lines


def test_findings_are_json_for_programs():
    """One report, or a list of them; text may begin with a bracket."""
    (found,) = [
        each
        for each in json.loads(run(TEXT, "--json").output)["findings"]
        if each["name"] == "pleural effusion"
    ]
    assert (found["state"], found["side"]) == ("present", "left")
    assert found["sentence"] == "There is a left pleural effusion."
    several = json.loads(run(json.dumps([TEXT, "Clear."]), "--json").output)
    assert len(several) == 2
    assert "pneumothorax: absent" in run("[1] No pneumothorax.").output
    assert isinstance(run("[1, 2]").exception, ConfigurationError)
