"""The names of the models that `workers` can load.

`service` never imports `workers`: it finds the module of the workers' commands by its entry point. That
module also holds the table of models, and importing it does not load torch.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

# The group of entry points by which packages such as `workers` add commands.
TABLES: Final = "wetread.commands"


def model_names() -> tuple[str, ...]:
    """Return the names of the models that can be loaded, sorted; () if `workers` is not installed."""
    return tuple(sorted({name for table in _registries() for name in table}))


@cache
def _registries() -> tuple[Mapping[str, str], ...]:
    points = entry_points(group=TABLES)
    return tuple(getattr(import_module(point.module), "MODELS", {}) for point in points)


@cache
def registered_functions(attribute: str) -> tuple[Callable[[str], Any], ...]:
    """Return the functions that packages such as `workers` name, "module:function", in an attribute."""
    points = entry_points(group=TABLES)
    named = (getattr(import_module(point.module), attribute, "") for point in points)
    parts = (name.partition(":") for name in named if name)
    return tuple(getattr(import_module(module), function) for module, _, function in parts)
