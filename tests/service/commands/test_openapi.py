"""`wetread openapi` prints the description that the documents have."""

import json
from pathlib import Path

from click.testing import CliRunner

from service.commands.openapi import openapi


def test_the_committed_description_is_that_of_the_code():
    """Byte for byte."""
    printed = CliRunner().invoke(openapi, catch_exceptions=False).output
    assert json.loads(printed)["openapi"].startswith("3.")
    assert printed == (Path(__file__).parents[3] / "docs" / "openapi.json").read_text()
