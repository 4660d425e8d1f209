"""The table [notify]: secrets are not shown, and only services that send texts are permitted."""

import pytest

from service.errors import ConfigurationError
from service.settings.config import settings_of
from service.settings.reference import in_force

WEBHOOK = "jsons://user:s3cret@hooks.example/T000/B000"


def made(*targets):
    """Return settings with these targets."""
    return settings_of({"notify": {"targets": list(targets)}})


def test_a_url_is_never_shown():
    """Neither by `wetread settings` nor in the text of the settings."""
    settings = made({"name": "hook", "url": WEBHOOK})
    shown = dict(in_force(settings))["notify.targets"]
    assert "s3cret" not in shown + repr(settings)
    assert "url=(set)" in shown


@pytest.mark.parametrize(
    "url", ["dbus://", "windows://", "macosx://", "json:/x", "s3cret", "file:///etc/s3cret", ""]
)
def test_other_services_are_refused_without_the_url(url):
    """Services that run a program or write a file, and invalid URLs."""
    with pytest.raises(ConfigurationError, match="begins with none of mailto://") as refused:
        made({"name": "hook", "url": url})
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([{"name": "a"}], "either url or url_file"),
        ([{"name": "a", "url": WEBHOOK, "url_file": "/x"}], "either url or url_file"),
        ([{"name": "a", "url": WEBHOOK}, {"name": "a", "url": WEBHOOK}], "name used twice: a"),
    ],
)
def test_conflicts_are_refused(targets, message):
    """Each target has one URL and a name of its own."""
    with pytest.raises(ConfigurationError, match=message):
        made(*targets)
