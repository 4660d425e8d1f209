"""The demo beside a configured site: nothing of the site's own service is touched or needed."""

from service.config import load_settings
from service.demo import demo_settings

SITE = """
[[receiver.callers]]
ae_title = "ORTHANC"

[[destinations]]
name = "pacs"
kind = "orthanc"
url = "http://127.0.0.1:8042"

[[reconcile]]
destination = "pacs"
calling_ae = "ORTHANC"
"""


def test_the_demo_runs_in_a_folder_whose_site_reconciles(tmp_path, monkeypatch):
    """The documented Orthanc site has `[[reconcile]]`; the demo compares no archive of the site."""
    (tmp_path / "wetread.toml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    settings, overrides, _servers, _url = demo_settings(load_settings())
    assert settings.reconcile == ()
    assert "pacs" not in [each.name for each in settings.destinations]
    assert overrides["reconcile"] == []
