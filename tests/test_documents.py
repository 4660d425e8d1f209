"""The documents agree with the tree: folders, files and sections that they name exist."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CARD = ROOT / "workers" / "model" / "demo" / "MODEL_CARD.md"
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", CARD]
PACKAGES = ("dicom", "service", "workers", "migrations")
# Of a path in a document: the folders of this repository.
FILE = re.compile(
    r"(?<![\w/])(?:dicom|service|workers|migrations|docs|tests|benchmarks|deploy)/[\w./-]+\.\w+"
)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
# "`function` in `file`", "`Class.method` (`file`)".
NAMED = re.compile(r"`([\w.]+)` (?:in |of |\()`((?:dicom|service|workers|migrations)/[\w/]+\.py)`")
SCRIPT = re.compile(r"(benchmarks/\w+\.py)((?:[^`\n]|\\\n)*)")
ROW = re.compile(r"^\| `([\w/]+)/` \| (.+?) \|$", re.MULTILINE)


def rows_of_the_layout() -> dict[str, str]:
    """Return what docs/development.md states about each folder."""
    text = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    return dict(ROW.findall(text.partition("## The layout")[2].partition("\n## ")[0]))


def packages() -> Iterator[tuple[str, str]]:
    """Yield each package that has modules, with the first line of its docstring."""
    for top in PACKAGES:
        for path in (ROOT / top).rglob("__init__.py"):
            folder = path.parent.relative_to(ROOT).as_posix()
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if text and folder != "migrations/versions":
                yield folder, text.splitlines()[0].removesuffix(".")


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_the_layout_names_every_package():
    """Each package has a row, with the first line of its docstring."""
    rows = rows_of_the_layout()
    assert len(rows) > 50
    assert {folder: rows.get(folder) for folder, _ in packages()} == dict(packages())
    assert [folder for folder in rows if not (ROOT / folder).is_dir()] == []


def test_the_layers_are_those_of_import_linter():
    """docs/development.md shows each layer of pyproject.toml in a line, from the top downwards."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    lines = []
    for each in contracts:
        if "containers" in each:
            lines += [f"{each['containers'][0]}:", *(f"    {layer}" for layer in each["layers"])]
    text = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    assert len(lines) > 40
    assert "\n".join(["```", *lines, "```"]) in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_sections_exist(page):
    """A page names no file that was moved, and links to no heading that was renamed."""
    text = page.read_text(encoding="utf-8")
    assert [path for path in FILE.findall(text) if not (ROOT / path).exists()] == []
    for target, anchor in LINK.findall(text):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_are_in_the_files_that_are_named_with_them(page):
    """A function, class or constant, or the name of a table as a text."""
    missing = [
        f"{name} in {path}"
        for name, path in NAMED.findall(page.read_text(encoding="utf-8"))
        if not re.search(
            rf"(?:\b(?:def|class) |^|\"){name.rpartition('.')[2]}\b",
            (ROOT / path).read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_scripts_have_the_options(page):
    """A page calls a script of benchmarks/ with options that it has."""
    for script, call in SCRIPT.findall(page.read_text(encoding="utf-8")):
        source = (ROOT / script).read_text(encoding="utf-8")
        options = re.findall(r"(?<!\S)--[a-z][a-z-]*", call)
        assert [each for each in options if f'"{each}"' not in source] == [], script
