"""Annotations of settings by their location."""

import pytest
from pydantic import BaseModel

from service.settings.annotations import (
    annotation_at,
    entry_of,
    field_names,
    is_secret,
    models,
    step,
    tags,
)
from service.settings.config import Settings


@pytest.mark.parametrize(
    ("path", "has_names"),
    [
        (("receiver",), {"port", "callers"}),
        (("destinations", 0), {"kind", "name"}),
        (("receiver", "callers", 0), {"ae_title"}),
    ],
)
def test_tables_are_found_by_their_location(path, has_names):
    """A number is an entry of a list."""
    found = annotation_at(Settings, path)
    assert has_names <= set(field_names(found))
    assert all(issubclass(each, BaseModel) for each in models(found))


def test_the_kind_selects_one_of_several_tables():
    """One class has no kinds."""
    entry = entry_of(annotation_at(Settings, ("destinations",)))
    assert {"dimse", "folder", "orthanc", "stow"} <= tags(entry)
    assert "path" in field_names(step(entry, "folder"))
    assert "ae_title" not in field_names(step(entry, "folder"))
    assert tags(annotation_at(Settings, ("receiver",))) == set()


def test_what_is_not_there_is_none():
    """At any depth."""
    assert annotation_at(Settings, ("gone",)) is None
    assert annotation_at(Settings, ("receiver", "port", 0)) is None


def test_passwords_are_secret():
    """Ports are not."""
    entry = entry_of(annotation_at(Settings, ("destinations",)))
    assert is_secret(step(entry, "password"))
    assert not is_secret(annotation_at(Settings, ("receiver", "port")))
