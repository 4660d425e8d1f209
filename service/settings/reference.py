"""Lists every setting with its variable, default and meaning, read from the settings classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.settings.config import Settings
from service.settings.keys.destinations import (
    DimseDestination,
    FolderDestination,
    OrthancDestination,
    StowDestination,
)
from service.settings.keys.notify import NotifyTarget
from service.settings.keys.reading import Model, Reading
from service.settings.keys.reconcile import Reconcile
from service.settings.keys.sections import Caller
from service.settings.keys.viewers import SiteViewer

# Tables that may be given several times ([[...]] in TOML).
_REPEATED: dict[str, type[BaseModel]] = {
    "receiver.callers[]": Caller,
    "models[]": Model,
    "destinations[] kind = orthanc": OrthancDestination,
    "destinations[] kind = dimse": DimseDestination,
    "destinations[] kind = stow": StowDestination,
    "destinations[] kind = folder": FolderDestination,
    "reconcile[]": Reconcile,
    "notify.targets[]": NotifyTarget,
    "web.viewers[]": SiteViewer,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting.

    Attributes:
        name: As written in TOML, with its table ("receiver.port").
        variable: The environment variable that overrides it; "" inside repeated tables.
        default: As text; "required" if there is none.
        meaning: The description of its field.
    """

    name: str
    variable: str
    default: str
    meaning: str


def keys() -> Iterator[Key]:
    """Yield every key: those without a table, those of the tables, then those of repeated tables."""
    sections = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            sections[name] = section
        else:
            yield _key(name, field, f"WETREAD_{name}".upper())
    for name, section in sections.items():
        for inner, field in section.model_fields.items():
            yield _key(f"{name}.{inner}", field, f"WETREAD_{name}__{inner}".upper())
    for table, model in _REPEATED.items():
        # The keys that `[[models]]` shares with `[reading]` are listed there only.
        documented = Reading.model_fields if issubclass(model, Reading) else {}
        for inner, inner_field in model.model_fields.items():
            if inner in documented:
                continue
            yield _key(f"{table}: {inner}", inner_field, "")


def as_markdown() -> str:
    """Return the reference tables of docs/configuration.md."""
    lines: list[str] = []
    table = None
    for key in keys():
        head, _, leaf = key.name.partition(": ") if ": " in key.name else key.name.rpartition(".")
        if head != table:
            table = head
            lines += [
                "",
                f"### {head or 'top level'}",
                "",
                "| key | default | meaning |",
                "|---|---|---|",
            ]
        lines.append(f"| `{leaf}` | {key.default} | {key.meaning} |")
    return "\n".join(lines).strip() + "\n"


def in_force(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each key with its value in force; secrets are masked."""
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            for inner in type(value).model_fields:
                yield f"{name}.{inner}", _shown(getattr(value, inner))
        else:
            yield name, _shown(value)


def _key(name: str, field: FieldInfo, variable: str) -> Key:
    if field.default is PydanticUndefined:
        kinds = get_args(field.annotation) if name.endswith(": kind") else ()
        default = f"`{kinds[0]}`" if kinds else "required"
    else:
        default = f"`{_shown(field.default)}`" if field.default not in (None, "", ()) else "none"
    return Key(name=name, variable=variable, default=default, meaning=field.description or "")


def _shown(value: Any) -> str:  # noqa: ANN401 - any setting
    if isinstance(value, SecretStr):
        return "(set)" if value.get_secret_value() else "(not set)"
    if isinstance(value, BaseModel):
        inner = (f"{name}={_shown(getattr(value, name))}" for name in type(value).model_fields)
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, Path):
        return str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
