from pathlib import Path

from service.settings.config import load_settings
from service.settings.reference import as_markdown, in_force, keys

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_holds_every_key():
    """docs/configuration.md ends with exactly what `wetread settings --markdown` prints."""
    assert PAGE.read_text().endswith(as_markdown()), "run: wetread settings --markdown"


def test_every_key_states_what_it_means():
    """No setting goes undocumented."""
    assert [key.name for key in keys() if not key.meaning] == []


def test_secrets_are_masked(tmp_path, monkeypatch):
    """Neither a password nor a token nor a URL with one in it is printed."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(
        web={"password": "s3cret"},
        database={"url": "postgresql+psycopg://u:s3cret@h/d"},
        broker={"url": "redis://:s3cret@h/0"},
        destinations=[
            {
                "kind": "stow",
                "name": "a",
                "url": "http://h",
                "password": "s3cret",
                "token": "s3cret",
            }
        ],
    )
    shown = dict(in_force(settings))
    assert shown["web.password"] == "(set)"
    assert "s3cret" not in str(shown)
    assert "s3cret" not in repr(settings)
