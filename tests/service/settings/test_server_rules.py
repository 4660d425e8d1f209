"""The keys of a model behind a server, and of the judge's server; the faults that are named."""

import pytest

from service.errors import ConfigurationError
from service.settings.config import load_settings
from service.settings.reference import in_force

OWN = {
    "kind": "openai", "model": "chest", "profile": "generic", "server_url": "http://10.0.0.5:8000/v1",
    "server_model": "medgemma",
}  # fmt: skip


def test_url_model_and_profile_are_enough():
    """No folder, no device; the name is the site's."""
    settings = load_settings(reading=OWN)
    assert (settings.model_name, settings.reading.server_model) == ("chest", "medgemma")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"server_url": None}, "server_url: is needed for kind = 'openai'"),
        ({"server_model": None}, "server_model: is needed for kind = 'openai'"),
        ({"profile": None}, "profile: is needed for kind = 'openai'"),
        ({"model": "demo"}, "model: 'demo' names a built-in model"),
        ({"server_url": "10.0.0.5:8000"}, "server_url"),
        ({"server_url": "http://u:p@10.0.0.5/v1"}, "holds a user name or password"),
        ({"server_url": "https://8.8.8.8/v1"}, "server_url: names an address outside"),
        ({"server_url": "https://[2001:4860::1]/v1"}, "server_url: names an address outside"),
        ({"server_indication": True, "allow_remote": True}, "server_indication: cannot be set"),
        ({"server_api_key": "k\n"}, "server_api_key: allowed are ASCII characters without spaces"),
        ({"server_api_key": " key "}, "begins or ends with a space or a line break: remove that"),
        ({"server_url": "http://10.0.0.5/v1/chat/completions"}, "root of the API, http://10.0.0.5/v1"),
        ({"server_url": "http://10.0.0.5/v1/completions/"}, "root of the API, http://10.0.0.5/v1"),
        ({"compile": True}, "compile: is for kind = 'built-in' only"),
        ({"kind": "built-in", "model": "demo", "profile": None}, "is for kind = 'openai' only"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_key(change, message):
    """The message begins with the key and states what to do."""
    reading = {key: value for key, value in (OWN | change).items() if value is not None}
    with pytest.raises(ConfigurationError) as raised:
        load_settings(reading=reading)
    assert message in str(raised.value)


def test_a_remote_server_must_be_allowed():
    """Then it is accepted."""
    remote = {"server_url": "https://8.8.8.8/v1", "allow_remote": True}
    assert load_settings(reading=OWN | remote).reading.allow_remote


def test_keys_of_servers_are_masked():
    """`wetread settings` prints no key."""
    settings = load_settings(
        reading=OWN | {"server_api_key": "s3cret"}, judge={"api_key": "s3cret"}
    )
    assert "s3cret" not in "".join(value for _, value in in_force(settings))


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"url": "http://127.0.0.1:8000/v1"}, "judge.model: is needed when url is set"),
        ({"url": "http://10.0.0.5/v1/chat/completions", "model": "m"}, "API, http://10.0.0.5/v1"),
        ({"url": "https://8.8.8.8/v1", "model": "m"}, "judge.url: names an address outside"),
        ({"api_key": "a b"}, "judge.api_key: allowed are ASCII characters"),
        ({"max_tokens": 8192}, "judge.max_tokens: 8192 must be less than context_tokens"),
    ],
)
def test_a_fault_of_the_judge_is_named(judge, message):
    """The same for the table [judge]."""
    with pytest.raises(ConfigurationError) as raised:
        load_settings(judge=judge)
    assert message in str(raised.value)
