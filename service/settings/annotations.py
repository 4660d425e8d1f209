"""The annotations of the classes of the settings, found by the way to a value."""

from collections.abc import Iterator
from typing import get_args, get_origin

from pydantic import BaseModel, SecretStr

from service.settings.rules import Location


def annotation_at(model: type[BaseModel], path: Location) -> object:
    """Return the annotation that a location leads to; None when it leads nowhere."""
    at: object = model
    for part in path:
        at = step(at, part)
    return at


def step(annotation: object, part: int | str) -> object:
    """Return the annotation one step further: of a field, of an entry, or of the entry's kind."""
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
    """Return the annotation of an entry of a list; None where there is no list."""
    entries = [each for each in _alternatives(annotation) if get_origin(each) is tuple]
    return get_args(entries[0])[0] if entries else None


def _alternatives(annotation: object) -> Iterator[object]:
    """Yield the parts of a union, the thing itself when it is none; Annotated is looked through."""
    if hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple or not get_args(annotation):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _alternatives(part)


def models(annotation: object) -> list[type[BaseModel]]:
    """Return the classes of tables that may stand there."""
    found = _alternatives(annotation)
    return [each for each in found if isinstance(each, type) and issubclass(each, BaseModel)]


def tags(annotation: object) -> set[str]:
    """Return the words by which one of several classes is chosen; none where there is one class."""
    every = models(annotation)
    return {tag for model in every for tag in _tags_of(model)} if len(every) > 1 else set()


def _tags_of(model: type[BaseModel]) -> tuple[str, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


def field_names(annotation: object) -> list[str]:
    """Return the keys of the tables that may stand there, sorted."""
    return sorted({name for model in models(annotation) for name in model.model_fields})


def is_secret(annotation: object) -> bool:
    """Return whether a value may be a password."""
    return any(each is SecretStr for each in _alternatives(annotation))
