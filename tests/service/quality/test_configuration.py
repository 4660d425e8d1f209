"""Digests of the settings: a change shows in its section, no value and no secret is in the document."""

import json
from dataclasses import replace

from service.quality.configuration import configuration
from service.quality.document import as_json
from service.settings.config import settings_of


def made(inputs, **changes):
    """Return the digests with other settings, and the whole document as text."""
    settings = settings_of({"data_dir": "/srv/wetread", **changes})
    document = configuration(replace(inputs, settings=settings))
    return document.values, as_json(document, site="", created="")


def test_a_change_shows_in_its_section_only(inputs):
    """Secrets and values are not in the document."""
    first, _ = made(inputs)
    url = "postgresql+psycopg://u:hunter2@db.hospital/w"
    changes = {"reading": {"temperature": 0.5}, "database": {"url": url}}
    second, text = made(inputs, **changes)
    differs = {
        name for name in first["sections"] if first["sections"][name] != second["sections"][name]
    }
    assert differs == {"reading", "database"}
    assert first["all"] != second["all"]
    assert "hunter2" not in text
    assert "db.hospital" not in text
    assert "/srv" not in text
    changes["database"] = {"url": url.replace("hunter2", "hunter3")}
    assert made(inputs, **changes)[0] == second
    assert json.loads(text)["values"]["sections"].keys() == second["sections"].keys()
