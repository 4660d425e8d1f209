"""The log events that docs/operations.md names are those that the code logs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \| (info|warning|error) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)
DOCUMENTED = dict(
    ROW.findall((ROOT / "docs/operations.md").read_text().partition("### Log events")[2])
)


def nodes(folder: str) -> Iterator[ast.AST]:
    """Yield every node of the modules in a package."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield from ast.walk(ast.parse(path.read_text()))


def logged(folder: str) -> Iterator[tuple[str, str]]:
    """Yield name and level of each event whose name is a literal in the call."""
    for node in nodes(folder):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("log"), attr=level),
                args=[ast.Constant(str(name)), *_],
            ):
                yield name, level


def test_every_event_of_the_table_is_logged():
    """With the level of the table; names that come from a constant or a choice have no level there."""
    assert len(DOCUMENTED) > 50
    code = {*logged("service"), *logged("workers")}
    direct = dict(code)
    names = {
        node.value
        for folder in ("service", "workers")
        for node in nodes(folder)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert [name for name in DOCUMENTED if name not in names] == []
    wrong = [name for name, level in DOCUMENTED.items() if (name, level) not in code]
    assert [name for name in wrong if name in direct] == []


def test_every_warning_is_in_the_table():
    """The page documents each of them, with what to do."""
    events = {*logged("service"), *logged("workers")}
    named = {name for name, level in events if level in {"warning", "error"}}
    assert sorted(named - set(DOCUMENTED)) == []
