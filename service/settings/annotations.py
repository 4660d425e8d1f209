"""Finds the type annotation of a setting in the settings classes, by the setting's location."""

from collections.abc import Iterator
from typing import get_args, get_origin

from pydantic import BaseModel, SecretStr

from service.settings.rules import Location


def annotation_at(model: type[BaseModel], path: Location) -> object:
    """Return the annotation at a location; None if the location does not exist."""
    at: object = model
    for part in path:
        at = step(at, part)
    return at


def step(annotation: object, part: int | str) -> object:
    """Return the annotation one step down: of a list's entry, a table of that `kind`, or a field."""
    if isinstance(part, int):
        return entry_of(annotation)
    for candidate in models(annotation):
        if part in _tags_of(candidate):
            return candidate
    for candidate in models(annotation):
        if part in candidate.model_fields:
            return candidate.model_fields[part].annotation
    return None


def entry_of(annotation: object) -> object:
    """Return the annotation of a list's entries; None if the annotation is not a list."""
    entries = [each for each in _alternatives(annotation) if get_origin(each) is tuple]
    return get_args(entries[0])[0] if entries else None


def _alternatives(annotation: object) -> Iterator[object]:
    """Yield the members of a union, or the annotation itself; `Annotated` is unwrapped."""
    if hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple or not get_args(annotation):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _alternatives(part)


def models(annotation: object) -> list[type[BaseModel]]:
    """Return the table classes that an annotation allows."""
    found = _alternatives(annotation)
    return [each for each in found if isinstance(each, type) and issubclass(each, BaseModel)]


def tags(annotation: object) -> set[str]:
    """Return the values of `kind` that select one of several table classes; empty for one class."""
    every = models(annotation)
    return {tag for model in every for tag in _tags_of(model)} if len(every) > 1 else set()


def _tags_of(model: type[BaseModel]) -> tuple[str, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


def field_names(annotation: object) -> list[str]:
    """Return the keys of the tables that an annotation allows, sorted."""
    return sorted({name for model in models(annotation) for name in model.model_fields})


def is_secret(annotation: object) -> bool:
    """Return whether a value may be a password."""
    return any(each is SecretStr for each in _alternatives(annotation))
