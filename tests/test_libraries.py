"""Internal parts of a library are used in one adapter; what is imported is declared, with bounds."""

import ast
import importlib
import inspect
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dicom.pynetdicom_private import AdaptedDUL
from service.checks.installation import LIBRARIES

ROOT = Path(__file__).parent.parent
PACKAGES = ("dicom", "service", "workers", "migrations")
LIBRARY_PACKAGES = frozenset(
    {"celery", "httpcore", "httpx", "kombu", "orthanc_api_client", "psycopg", "pynetdicom"}
    | {"redis", "requests", "urllib3", "uvicorn"}
)
ADAPTERS = frozenset(
    {
        "dicom/network/httpx_transport.py",
        "dicom/network/requests_adapter.py",
        "dicom/destinations/orthanc_client.py",
        "dicom/pynetdicom_private.py",
        "service/queue/celery_private.py",
        "service/system/broker_connection.py",
        "service/queue/kombu_private.py",
        "service/system/psycopg_private.py",
        "service/system/uvicorn_private.py",
    }
)
# Public by name, documented nowhere: only an adapter imports them.
INTERNAL_MODULES = (
    "celery.worker",
    "pynetdicom.dimse_messages",
    "pynetdicom.dul",
    "pynetdicom.fsm",
    "pynetdicom.transport",
    "pynetdicom.dimse",
    "uvicorn.protocols",
    "uvicorn.server",
)
INTERNAL_NAMES = frozenset({"reserved_requests", "server_state", "install_platform_tweaks"})
STATE_NAME = re.compile(r"(Sta|Evt)\d+|A[AERT]-\d+")
# Of objects of ours, or of another library.
OTHER_OWNERS = frozenset(
    {
        ("workers/model/networks/language.py", "_config"),
        ("workers/model/networks/decode_step.py", "_dynamo"),
        ("workers/model/tokenizer.py", "_decoder"),
    }
)


def sources(*folders: str) -> list[Path]:
    """Return the modules of these folders, as paths relative to the repository."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in found]


def private(name: str) -> bool:
    """Whether a name says that it is internal."""
    return name.startswith("_") and not name.startswith("__")


@pytest.fixture(scope="module")
def internal_names() -> frozenset[str]:
    """Every private attribute and function of the libraries, read from their sources."""
    names: set[str] = set()
    for package in LIBRARY_PACKAGES:
        folder = Path(importlib.import_module(package).__file__ or "").parent
        for path in folder.rglob("*.py"):
            names |= set(re.findall(r"(?:\.|def |class )(_[A-Za-z]\w*)", path.read_text()))
    return frozenset(names)


def imports(tree: ast.AST) -> set[str]:
    """Return the dotted names that a module imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{each.name}" for each in node.names}
    return found


def uses(text: str, internal: frozenset[str]) -> set[str]:
    """Return the internal parts of the libraries that a module's text uses, but those by `self`."""
    tree = ast.parse(text)
    found = set()
    for dotted in imports(tree):
        if dotted.partition(".")[0] in LIBRARY_PACKAGES and (
            any(private(part) for part in dotted.split("."))
            or any(f"{dotted}.".startswith(f"{each}.") for each in INTERNAL_MODULES)
        ):
            found.add(dotted)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            is_ours = owner in {"self", "cls", "os"} or not private(node.attr)
            if node.attr in INTERNAL_NAMES or (not is_ours and node.attr in internal):
                found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} if STATE_NAME.fullmatch(node.value) else set()
    return found


def names_in(owner: type) -> set[str]:
    """Return the private names that a class defines, and those that its methods use."""
    found = {name for name in vars(owner) if private(name)}
    for member in vars(owner).values():
        function = member.fget if isinstance(member, property) else inspect.unwrap(member)
        if inspect.isfunction(function):
            found |= {name for name in function.__code__.co_names if private(name)}
    return found


def inherited_uses(owner: type) -> set[str]:
    """Return the private names of library classes that one of our classes uses or overrides."""
    theirs: set[str] = set()
    for base in owner.__mro__:
        if base.__module__.partition(".")[0] in LIBRARY_PACKAGES:
            theirs |= names_in(base)
    return theirs & names_in(owner)


@pytest.mark.parametrize("folder", [*PACKAGES, "benchmarks", "tests"])
def test_internal_parts_are_used_in_adapters_only(folder, internal_names):
    """No other module names a private attribute, an internal module or a state of these libraries."""
    found = {}
    for path in sources(folder):
        # Tests put faults into our own objects through private names; ruff's SLF001 watches the rest.
        names = frozenset() if folder == "tests" else internal_names
        used = uses((ROOT / path).read_text(), names)
        used -= {name for place, name in OTHER_OWNERS if place == str(path)}
        if used and str(path) not in ADAPTERS and path != Path(__file__).relative_to(ROOT):
            found[str(path)] = used
    assert found == {}


def test_no_class_outside_adapters_uses_what_it_inherits():
    """A class that is derived from a library's, also by way of an adapter's, keeps to public names."""
    found, looked_at = {}, 0
    for path in sources("dicom", "service", "workers"):
        names = imports(ast.parse((ROOT / path).read_text()))
        if str(path) in ADAPTERS or any("torch" in name for name in names):
            continue
        module = importlib.import_module(".".join(path.with_suffix("").parts))
        for owner in vars(module).values():
            if not inspect.isclass(owner) or owner.__module__ != module.__name__:
                continue
            tops = {base.__module__.partition(".")[0] for base in owner.__mro__}
            if tops & LIBRARY_PACKAGES:
                looked_at += 1
                if used := inherited_uses(owner):
                    found[f"{path}:{owner.__name__}"] = used
    assert looked_at > 5
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "from pynetdicom import _config",
        "from pynetdicom.fsm import TRANSITION_TABLE",
        "association.dul._run_loop_delay = 1",
        "state = 'Sta6'",
        "queue.put('Evt19')",
        "len(server.server_state.tasks)",
        "psycopg.errors._WaitTimeout",
        "client._http_session",
    ],
)
def test_each_kind_of_use_is_found(text, internal_names):
    """So that the two tests above can fail."""
    assert uses(text, internal_names)


def test_an_override_is_found():
    """Of a library's private method, by a class two steps away."""

    class Override(AdaptedDUL):
        def _read_pdu_data(self) -> None:
            self._kill_thread = True

    assert inherited_uses(Override) == {"_read_pdu_data", "_kill_thread"}


# --- what is declared ---


def requirements() -> dict[str, list[Requirement]]:
    """Return what pyproject.toml declares, by extra; "" for the dependencies of all."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {name: [Requirement(line) for line in lines] for name, lines in groups.items()}


def pins() -> dict[str, Version]:
    """Return the versions of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("dicom", ("",)),
        ("service", ("", "embedded")),
        ("workers", ("", "worker", "quantised")),
        ("migrations", ("",)),
    ],
)
def test_what_is_imported_is_declared(package, extras):
    """Every distribution of which a module is imported by name is a dependency of ours."""
    declared = {canonicalize_name(each.name) for extra in extras for each in requirements()[extra]}
    owners = metadata.packages_distributions()
    missing = {}
    for path in sources(package):
        tops = {name.partition(".")[0] for name in imports(ast.parse((ROOT / path).read_text()))}
        for top in tops - set(sys.stdlib_module_names) - set(PACKAGES) - {"_typeshed"}:
            names = {canonicalize_name(name) for name in owners.get(top, [top])}
            if not names & declared:
                missing[top] = str(path)
    assert missing == {}


@pytest.mark.parametrize("extra", ["", "worker", "quantised", "embedded"])
def test_each_dependency_is_bounded_by_what_was_tried(extra):
    """From the version of constraints.txt up to, and without, a later one."""
    for each in requirements()[extra]:
        bounds = {clause.operator: Version(clause.version) for clause in each.specifier}
        assert bounds.keys() == {">=", "<"}, each
        assert bounds[">="] == pins()[canonicalize_name(each.name)], each


def test_tried_versions_are_those_of_the_constraints():
    """What this suite runs with is what each adapter says that it was tried with."""
    for library in LIBRARIES:
        assert str(pins()[canonicalize_name(library.name)]) in library.tested
        assert library.is_tested
        assert library.warning == ""
