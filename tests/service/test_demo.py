"""The demo beside a configured site: it neither touches nor needs the site's own service."""

import subprocess
import sys

import pytest

from service.all_in_one import parts
from service.demo import demo_environment, demo_folder, demo_settings
from service.settings.config import as_environment, child_environment, load_settings

SITE = """
site_name = "General Hospital"

[receiver]
ae_title = "SITE"
processes = 3
tls_port = 2762
tls_certificate = "/site.pem"
tls_key = "/site.key"

[[receiver.callers]]
ae_title = "ORTHANC"

[reading]
model = "cxr-llava-v2"
model_dir = "/site/model"

[[models]]
name = "trial"
model = "tiny"

[outputs]
json_sidecar = true

[delivery]
concurrency = 3

[database]
url = "postgresql+psycopg://site@db/site"
busy_seconds = 3

[broker]
url = "redis://site:6379/0"

[web]
host = "10.0.0.5"
password = "hunter2"
plain_http = true

[stow]
port = 8443

[sweep]
retention_days = 1

[log]
level = "debug"

[[destinations]]
name = "pacs"
kind = "orthanc"
url = "http://127.0.0.1:8042"

[[reconcile]]
destination = "pacs"
calling_ae = "ORTHANC"
"""


@pytest.fixture(params=["file", "environment"])
def site(request, tmp_path, monkeypatch):
    """A site whose every table is set, in its file or in the environment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wetread.toml").write_text(SITE)
    settings = load_settings()
    if request.param == "environment":
        (tmp_path / "wetread.toml").unlink()
        given = settings.model_dump(mode="json", exclude_unset=True)
        given["web"]["password"] = settings.web.password.get_secret_value()
        given["broker"]["url"] = settings.broker_url
        given["database"]["url"] = settings.database_url
        for name, value in as_environment(given).items():
            monkeypatch.setenv(name, value)
    assert load_settings() == settings
    return settings


def test_the_demo_has_no_setting_of_the_site(site, tmp_path, monkeypatch):
    """Its settings are those of an unconfigured folder, except for the demo's own values."""
    settings, overrides, _servers, _url = demo_settings(site)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    for name in as_environment(site.model_dump(mode="json")):
        monkeypatch.delenv(name, raising=False)
    assert settings == load_settings(**overrides)
    assert settings.data_dir == tmp_path / "wetread-data" / "demo"
    assert settings.broker.url is None
    assert settings.stow.port is None
    assert settings.reconcile == ()


def test_a_process_of_the_demo_has_no_setting_of_the_site(site):
    """A started process loads exactly the settings of the demo."""
    settings, overrides, _servers, _url = demo_settings(site)
    environment = demo_environment(demo_folder(site), overrides)
    program = (
        "import sys; from service.settings.config import load_settings; "
        "sys.stdout.write(load_settings().model_dump_json())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env=child_environment(**environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == settings.model_dump_json()


def test_the_demo_starts_its_own_redis_and_no_part_of_the_site(site):
    """No STOW-RS, no comparison of archives, no further model."""
    settings, overrides, _servers, _url = demo_settings(site)
    made = {
        part.name: part for part in parts(settings, demo_environment(demo_folder(site), overrides))
    }
    expected = {"redis", "receive", "sweep", "worker-reading", "worker-delivery", "web"}
    assert made.keys() == expected
    assert made["web"].environment["WETREAD_BROKER__URL"].startswith("redis://:")
