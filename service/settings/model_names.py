"""The names of the models that can be loaded, as the compute registers them.

service never imports workers. The module that the entry point of the compute's commands names has the
table of models too, and importing it loads no torch.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

# Entry points of the tables that other packages add to the command line: `workers` is one.
TABLES: Final = "wetread.commands"


def model_names() -> tuple[str, ...]:
    """Return the models that can be loaded, sorted; () where the compute is not installed."""
    return tuple(sorted({name for table in _registries() for name in table}))


@cache
def _registries() -> tuple[Mapping[str, str], ...]:
    points = entry_points(group=TABLES)
    return tuple(getattr(import_module(point.module), "MODELS", {}) for point in points)
