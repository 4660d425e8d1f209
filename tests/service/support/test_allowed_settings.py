"""The settings of a support bundle: values of a fixed choice, and a digest that shows a change."""

from typing import Annotated, Literal, get_args, get_origin

from pydantic import SecretStr

from service.settings.config import Settings
from service.support.allowed_settings import ALLOWED, allowed_settings
from service.support.pseudonyms import Pseudonyms

KEY = Pseudonyms(b"k" * 32)


def annotation(name):
    """Return the type of a setting."""
    model = Settings
    *sections, key = name.split(".")
    for section in sections:
        model = model.model_fields[section].annotation
    return model.model_fields[key].annotation


def kinds(of):
    """Return the types that a value may have."""
    if get_origin(of) is Literal:
        return {Literal}
    if get_origin(of) is Annotated:
        return kinds(get_args(of)[0])
    parts = [each for each in get_args(of) if each is not Ellipsis]
    return set().union(*map(kinds, parts)) if parts else {of}


def test_only_numbers_switches_and_words_of_a_choice_are_allowed():
    """A text that a person can type, a path and a secret are of another type."""
    fixed = {int, float, bool, Literal, type(None), tuple}
    assert {name for name in ALLOWED if kinds(annotation(name)) - fixed} == set()


def test_the_digest_changes_with_any_setting_but_a_secret(tmp_path):
    """Secrets are not digested: a short one could be found by guessing."""

    def digest(**changes):
        found = allowed_settings(Settings(data_dir=tmp_path, **changes), KEY)
        assert "hunter2" not in str(found)
        return found["digest"]

    pacs = {"kind": "orthanc", "name": "pacs", "url": "http://a:1", "username": "u"}
    first = digest(destinations=[{**pacs, "password": SecretStr("hunter2")}])
    assert first == digest(destinations=[{**pacs, "password": SecretStr("hunter3")}])
    assert first != digest(destinations=[{**pacs, "url": "http://b:1"}])
    assert first != digest(site_name="other")
