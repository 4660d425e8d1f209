"""The prompts of an experiment: named ones of a TOML file, and those that are built in."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from workers.model.prompts import IS_THERE, PAEDIATRIC_REPORT, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One named way to ask.

    Attributes:
        text: Words of the user; "" for the site's own report prompt.
        confirm: Whether each of the six findings is asked for afterwards in the same chat, and the
            answers replace their labels.
    """

    name: str
    text: str = ""
    confirm: bool = False

    @property
    def task(self) -> Task:
        """The kind of prompt of the model."""
        return Task.QUESTION if self.text else Task.REPORT


BUILT_IN: Final = {
    "specific": Prompt(name="specific"),
    "basic": Prompt(name="basic", text="Write a radiologic report on the given chest radiograph."),
    "confirm": Prompt(name="confirm", confirm=True),
    "child": Prompt(name="child", text=PAEDIATRIC_REPORT),
    "child-heart": Prompt(
        name="child-heart",
        text=(
            f"{PAEDIATRIC_REPORT} In children the heart looks larger in relation to the chest than in "
            "adults; this alone is no cardiomegaly."
        ),
    ),
}
QUESTIONS: Final = IS_THERE
_KEYS: Final = frozenset({"text", "confirm"})


def prompts_of(names: str, path: Path | None, faults: list[str]) -> tuple[Prompt, ...]:
    """Return the prompts by their names, in this order; those of the file, else built-in ones.

    Args:
        names: Separated by commas; empty: all of the file, or "specific".
        path: TOML file: a table a prompt with `text` and optionally `confirm = true`.
        faults: Each name that is not known and each fault of the file is added.
    """
    own = {} if path is None else _read(path, faults)
    chosen = [name.strip() for name in names.split(",") if name.strip()] or [*own] or ["specific"]
    known = BUILT_IN | own
    faults += [
        f"no prompt is called {name!r}; there are {', '.join(known)}"
        for name in chosen
        if name not in known
    ]
    return tuple(known[name] for name in dict.fromkeys(chosen) if name in known)


def _read(path: Path, faults: list[str]) -> dict[str, Prompt]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.append(f"{path}: {error}")
        return {}
    return {
        name: prompt
        for name, table in tables.items()
        if (prompt := _prompt(name, table, path, faults)) is not None
    }


def _prompt(name: str, table: object, path: Path, faults: list[str]) -> Prompt | None:
    if not isinstance(table, Mapping) or set(table) - _KEYS:
        faults.append(f"{path}: [{name}] may hold text and confirm only")
        return None
    text: Any = table.get("text", "")
    confirm: Any = table.get("confirm", False)
    if not isinstance(text, str) or not isinstance(confirm, bool):
        faults.append(f"{path}: [{name}] text must be words, confirm true or false")
        return None
    return Prompt(name=name, text=text.strip(), confirm=confirm)
