"""States in words what a key of a profile may hold, from the schema of the profile."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from workers.model.profiles.profile import ASCII, HEADING, LANGUAGE, LINE, Profile

_PATTERNS: Final = {
    LINE: " on one line",
    HEADING: " on one line, without : * #",
    ASCII: " of ASCII characters",
    LANGUAGE: " of two lower-case letters, such as en (ISO 639-1)",
}
_KINDS: Final = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text in quotation marks",
    "object": "a table, with its keys below its name in brackets",
}
Node = Mapping[str, Any]


def allowed(path: Sequence[str | int]) -> str:
    """Return what the value at a path may be, such as `a whole number from 16 to 4096`.

    Args:
        path: Keys from the top of the file; a number stands for an entry of a list.
    """
    node: Node = _schema()
    for part in path:
        node = _below(_plain(node), part)
    return _words(_plain(node))


@cache
def _schema() -> Node:
    return Profile.model_json_schema()


def _below(node: Node, part: str | int) -> Node:
    found: Node = node.get("items", {}) if isinstance(part, int) else node["properties"][part]
    return found


def _plain(node: Node) -> Node:
    """Return a node without a reference, and without the absence of its key as an alternative."""
    for one in node.get("anyOf", ()):
        if one.get("type") != "null":
            node = one
    if "$ref" in node:
        found: Node = _schema()["$defs"][node["$ref"].rpartition("/")[2]]
        return found
    return node


def _words(node: Node) -> str:
    if "const" in node or "enum" in node:
        *others, last = [repr(one) for one in node.get("enum", (node.get("const"),))]
        return f"{', '.join(others)} or {last}" if others else last
    kind = node.get("type", "")
    if kind == "array":
        return f'a list ["...", "..."]{_size(node)}, each {_words(_plain(node["items"]))}'
    return _KINDS[kind] + _PATTERNS.get(node.get("pattern", ""), "") + _range(node) + _size(node)


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    begin = f"from {low:g}" if low is not None else ""
    if "exclusiveMinimum" in node:
        begin = f"above {node['exclusiveMinimum']:g}"
    found = " ".join(part for part in (begin, f"to {high:g}" if high is not None else "") if part)
    return f" {found}" if found else ""


def _size(node: Node) -> str:
    """Return the limits of a text's or a list's length."""
    what = "entries" if "items" in node else "characters"
    low = node.get("minItems", node.get("minLength", 0))
    high = node.get("maxItems", node.get("maxLength"))
    if high is not None:
        return f", {low} to {high} {what}"
    return ", not empty" if low else ""
